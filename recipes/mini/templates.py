"""Sentences of the kind that telephone systems say, put together from parts by a seeded generator."""

from __future__ import annotations

import random
import re

from recipes.mini.text import words

DIGITS = words("zero one two three four five six seven eight nine")
NUMBERS = words(
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty "
    "forty fifty sixty seventy eighty ninety hundred thousand million billion"
)
ORDINALS = words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth fortieth "
    "fiftieth sixtieth seventieth eightieth ninetieth hundredth thousandth millionth"
)
PHONETIC = words(
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey xray yankee zulu niner"
)
LETTERS = words("a b c d e f g h i j k l m n o p q r s t u v w x y z zed")
SIGNS = words(
    "star|pound|hash|comma|colon|semicolon|dot|dash|slash|backslash|plus|equals|percent|ampersand|"
    "quote|tick|tilde|pipe|underscore|space|asterisk|dollar sign|question mark|less than|greater than|"
    "left brace|right brace|left bracket|right bracket|open parenthesis|close parenthesis|caret|"
    "backtick|at|exclamation point",
    "|",
)
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday today tomorrow yesterday")
MONTHS = words("January February March April May June July August September October November December")
CLOCK = words(
    "A.M. P.M. o'clock hours minutes seconds minute second hour day week dollars cents minus oh and at"
)
KEYS = [*DIGITS, *"0123456789", *"0123456789", "star", "pound", "the star key", "the pound key"]
NOUNS = words(
    "message|mailbox|password|extension|conference|recording|greeting|call|line|account|channel|queue|"
    "folder|number|directory|menu|operator|agent|speed dial entry|voicemail|caller|phone number|"
    "access code|name|option|setting|transfer|forwarding number|area code|"
    "personal identification number|volume|system|service|party|office|department|representative|"
    "customer|appointment|reservation|order|invoice|payment|balance|ticket|hold time",
    "|",
)
ADJECTIVES = words(
    "new old next last first current previous temporary busy unavailable urgent invalid correct wrong "
    "private unknown personal available empty full important advanced default incoming outgoing other "
    "selected main"
)
VERBS = words(
    "change|delete|save|repeat|record|review|forward|cancel|accept|reject|lock|unlock|mute|unmute|"
    "transfer|hear|play|listen to|enter|check|activate|disable|enable|remove|leave|send|return to|"
    "reply to|skip|pause|resume|stop|exit|increase|decrease|reset|confirm|update|call|dial|join|extend|"
    "mark|undelete|copy|move|select",
    "|",
)
PAST = words(
    "changed|deleted|saved|recorded|forwarded|cancelled|accepted|rejected|locked|unlocked|muted|"
    "transferred|activated|disabled|enabled|removed|sent|received|updated|confirmed|extended|blocked|"
    "restored|disconnected|connected|queued|parked|answered|marked urgent|placed on hold|"
    "added to the list",
    "|",
)
PEOPLE = words(
    "the caller|the user|the leader|the person at this extension|your party|the operator|an agent|"
    "the administrator|the other participant|the sender|the last caller|a representative|the host|"
    "the recipient|another user|someone",
    "|",
)
COUNTS = [
    *DIGITS[1:],
    *NUMBERS[:12],
    *words("3 4 5 6 7 8 9 10 12 15 20 25 30 45 50"),
    "no",
    "several",
    "more than ten",
]

PATTERNS = words(
    "Press {key} to {verb} {the} {noun}.|"
    "Press {key} to {verb} {the} {noun}, or {key} to {verb} {the} {noun}.|"
    "To {verb} {the} {noun}, press {key}.|To {verb} {the} {adj} {noun}, press {key} now.|"
    "For {the} {adj} {noun}, press {key}.|Please {verb} {the} {noun} and try again.|"
    "Please enter your {noun}, followed by {key}.|Please enter the {adj} {noun} now.|"
    "Please say the {noun} after the beep.|Your {noun} has been {past}.|"
    "The {adj} {noun} has been {past}.|The {noun} could not be {past}.|"
    "The {noun} was not {past} because the {noun} is {adj}.|That {noun} is {adj}.|"
    "This {noun} is now {past}.|You have {count} {adj} {noun}s.|"
    "You have {count} {adj} {noun}s and {count} {adj} {noun}s.|"
    "There are currently {count} {noun}s in the {noun}.|There are {count} {noun}s waiting.|"
    "{People} has {past} the {noun}.|{People} is not available to {verb} the {noun}.|"
    "Please wait for {people}.|Please hold while we connect you to {people}.|"
    "Please wait while I {verb} your {noun}.|One moment while we {verb} the {adj} {noun}.|"
    "I'm sorry, that {noun} cannot be {past}.|Sorry, the {adj} {noun} is not {past}.|"
    "We're sorry, your {noun} is {adj}.|I'm afraid the {noun} is {adj}.|"
    "The {noun} you have {past} is not a valid {noun}.|{People} will {verb} the {noun}.|"
    "If you know the {noun}, {verb} it now.|If this {noun} is {adj}, press {key} now.|"
    "Would you like to {verb} the {noun}?|Which {noun} would you like to {verb}?|"
    "Thank you for calling. Please {verb} {the} {noun}.|Thank you. Your {noun} will be {past}.|"
    "The {noun} will be {past} in {count} minutes.|Your call will be {past} by {people}.|"
    "You are about to {verb} {the} {noun}.|You may {verb} {the} {noun} at any time by pressing {key}.|"
    "You can not {verb} this {noun} while the {noun} is {adj}.|"
    "You must {verb} your {noun} before {people} arrives.|...to {verb} {the} {noun}.|"
    "...{noun}s in the {noun}|or {key} to {verb} this {noun}|{adj} {noun}|{noun} {past}.|{Noun}.|"
    "{verb} the {noun}|followed by {key}|from {people}|{count} {noun}s|the {adj} {noun}|"
    "{noun} from {people}|Press {key}.|Press {key} for help or {key} for more {noun}s.|"
    "The time is {clock}.|It is {clock} on {day}.|Your {noun} was received {day} at {clock}.|"
    "Received on {day}, {month} {ordinal}, at {clock}.|{month} {ordinal}|{day} at {clock}|"
    "Call {past} on {month} {ordinal}.|The office is closed on {day}.|"
    "Our hours are from {clock} to {clock}.|Extension {digits}.|The number is {digits}.|"
    "You entered {digits}.|Dial {digits} to reach {people}.|Please call {digits} after {clock}.|"
    "Your {noun} number is {digits}.|The extension for {people} is {digits}.|Caller {number} is {adj}.|"
    "Message {number}, from {people}.|It will cost {number} dollars.|"
    "Your balance is {number} dollars and {number} cents.|Number {number}.",
    "|",
)


def _digits(rng: random.Random) -> str:
    return " ".join(rng.choices([*DIGITS, "oh"], k=rng.randint(2, 7)))


def _number(rng: random.Random) -> str:
    tens = words("twenty thirty forty fifty sixty seventy eighty ninety")
    small = rng.choice([*DIGITS[1:], *NUMBERS[:10], f"{rng.choice(tens)} {rng.choice(DIGITS[1:])}"])
    return rng.choice([small, small, f"{rng.choice(DIGITS[1:])} hundred {small}", f"{small} thousand"])


def _clock(rng: random.Random) -> str:
    hour = rng.choice([*DIGITS[1:], "ten", "eleven", "twelve"])
    minute = rng.choice(
        words("fifteen|thirty|forty five|oh five|twenty|ten|fifty two|seventeen", "|"),
    )
    return rng.choice(
        [f"{hour} o'clock", f"{hour} {minute} {rng.choice(['A.M.', 'P.M.'])}", f"{hour} {minute}"]
    )


def telephone(rng: random.Random) -> str:
    """One sentence or fragment from PATTERNS."""

    def part(match: re.Match[str]) -> str:
        name = match[1]
        lists = {"key": KEYS, "verb": VERBS, "noun": NOUNS, "adj": ADJECTIVES, "past": PAST, "people": PEOPLE}
        lists |= {"count": COUNTS, "day": DAYS, "month": MONTHS, "ordinal": ORDINALS}
        lists |= {"the": ["the", "your", "this", "the", "your", "another"]}
        makers = {"digits": _digits, "number": _number, "clock": _clock}
        word = makers[name](rng) if name in makers else rng.choice(lists[name.lower()])
        return word.capitalize() if name[0].isupper() else word

    text = re.sub(r"\{(\w+)\}", part, rng.choice(PATTERNS))
    text = re.sub(r"(\.M)\.\.$", r"\1.", text)
    if rng.random() < 0.25:  # the prompts often start in lower case and without a final stop
        text = text[0].lower() + text[1:].removesuffix(".")
    return text


def sequence(rng: random.Random) -> str:
    """One to seven words of one or two of the word families, as prompts spell things out."""
    families = [
        DIGITS,
        DIGITS,
        NUMBERS,
        ORDINALS,
        PHONETIC,
        PHONETIC,
        LETTERS,
        LETTERS,
        SIGNS,
        [*DAYS, *MONTHS, *CLOCK],
    ]
    chosen = rng.choice(families) + (rng.choice(families) if rng.random() < 0.4 else [])
    count = rng.choice([1, 1, 1, 2, 2, 3, 4, 5, 6, 7])
    picked = [rng.choice(chosen) for _ in range(count)]
    if count > 1 and rng.random() < 0.3:
        listed = ", ".join(picked) + "."
        return listed[0].upper() + listed[1:]
    return " ".join(picked)
