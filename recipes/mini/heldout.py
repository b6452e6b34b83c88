"""Voices and characters kept out of all training, in every task, because training is joint.

Groups that share a recording (found by `near.same_pairs`) are kept on one side together:
ufo_soldiers_male, nx_insurrectionist, nx_marine, nx_soldier, oa_beret, oa_sarge, oa_tony, oa_assassin,
oa_sergei; ufo_soldiers_female, nx_pyria-skadi, nx_specop; oa_angelyss, oa_major, oa_sorceress;
oa_ayumi, oa_neko; oa_gargoyle, oa_liz; hw_Classic, hw_Default, hw_Default_uk; hw_Default_pl, hw_Russian_pl.
"""

from recipes.mini.text import words

TEST: frozenset[str] = frozenset(
    words(
        "hw_British hw_Mobster hw_Pirate hw_Singer hw_Surfer hw_Default_es hw_Default_ru oa_arachna "
        "oa_kyonshi oa_merman oa_smarine oa_gargoyle oa_liz oa_skelebot oa_penguin oa_ayumi oa_neko "
        "nx_carni-lycan nx_reptilian nx_pyria-skadi nx_specop ufo_soldiers_female ufo_civilians_civfem "
        "ufo_civilians_civmale ufo_civilians_male wes_dwarf wes_human-female wes_mermen flare_female "
        "flare_male re_voice "
        "asterisk_es asterisk_fr asterisk_it asterisk_ru "
        "0ad_napatan_female 0ad_napatan_male 0ad_latin_female 0ad_latin_male"
    )
)


def is_test(group: str) -> bool:
    """True for a voice or character that only tests may use."""
    return group in TEST
