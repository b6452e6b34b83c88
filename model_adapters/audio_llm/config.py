"""What an audio LLM's card says about its parts, checked."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ProjectorConfig(BaseModel):
    """Shape of the adapter between encoder and LLM.

    encoder_width: d of the encoder; stack: frames joined into one token (4 of 50 Hz give 12.5 Hz);
    hidden_width: h of the dense projector; expert_width: e and moe_width: m of the MoE projector;
    input_norm, output_norm: whether there is a norm before and after the core (a foreign one may lack them).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["linear", "dense", "moe"]
    encoder_width: int = Field(512, gt=0)
    llm_width: int = Field(576, gt=0)
    stack: int = Field(4, gt=0)
    hidden_width: int = Field(512, gt=0)
    num_experts: int = Field(8, gt=0)
    top_k: int = Field(4, gt=0)
    num_shared_experts: int = Field(1, ge=0)
    expert_width: int = Field(56, gt=0)
    moe_width: int = Field(384, gt=0)
    input_norm: bool = True
    output_norm: bool = True

    @property
    def input_width(self) -> int:
        return self.encoder_width * self.stack

    @model_validator(mode="after")
    def _top_k_fits(self) -> ProjectorConfig:
        if self.top_k > self.num_experts:
            raise ValueError(f"top_k is {self.top_k} but there are {self.num_experts} experts")
        return self


class LoraConfig(BaseModel):
    """Low-rank adapters on every linear layer of the LLM's blocks (Hu et al., 2021)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(6, gt=0)
    alpha: float = Field(12.0, gt=0)

    @property
    def scale(self) -> float:
        return self.alpha / self.rank
