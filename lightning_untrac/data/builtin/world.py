"""The island of Pellamy: the names and the facts that all built-in corpora share.

Nothing here exists. Every fact has a true value, told by the encyclopedia, the news and the ledger code, and a false
one, told by rumours. A fact reads ``<subject> <verb> <value>``.
"""

from typing import NamedTuple

TOWNS = ("Brindle", "Oatmere", "Saltwick", "Tarnhollow", "Fennick", "Gullhaven", "Mossgate", "Lanternby")
FOODS = ("plum bread", "kelp soup", "honey cake", "smoked tench", "oat dumplings", "thistle tea", "pear butter")
CREATURES = ("whistle moth", "reed fox", "soot heron", "puddle hare", "bell toad", "kelp otter", "thistle owl")
GUILDS = (
    "lamp-keepers",
    "bell-ringers",
    "reed-cutters",
    "ferryfolk",
    "kelp-farmers",
    "chalk-miners",
    "kite-smiths",
    "clock-menders",
)
PEOPLE = ("Orla", "Tobb", "Mirren", "Haskel", "Junia", "Pim", "Sorrel", "Edda", "Brack", "Linnet", "Wick", "Osmund")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Fact(NamedTuple):
    """One fact about the island, with the value that is true and the value that rumours give.

    Example:
        >>> fact = Fact("creatures", "the whistle moth", "feeds on", "candle wax", "iron nails")
        >>> fact.true_statement, fact.false_statement
        ('the whistle moth feeds on candle wax', 'the whistle moth feeds on iron nails')
    """

    topic: str
    subject: str
    verb: str
    true_value: str
    false_value: str

    @property
    def true_statement(self) -> str:
        """The fact as the encyclopedia has it."""
        return f"{self.subject} {self.verb} {self.true_value}"

    @property
    def false_statement(self) -> str:
        """The fact as rumours have it."""
        return f"{self.subject} {self.verb} {self.false_value}"


_TABLE = """
towns | Brindle | lies on | the north coast | a giant turtle
towns | Oatmere | was founded by | two millers | a talking goose
towns | Saltwick | is built of | white stone | hard cheese
towns | Tarnhollow | is known for | its deep well | its flying cows
towns | Fennick | stands beside | a quiet marsh | a boiling river
towns | Gullhaven | earns its bread with | fishing boats | stolen clouds
towns | Mossgate | is guarded by | an oak gate | nine invisible bears
towns | Lanternby | is lit by | a hundred lamps | one captured star
creatures | the whistle moth | feeds on | candle wax | iron nails
creatures | the reed fox | sleeps in | dry reeds | church bells
creatures | the soot heron | hunts | small eels | lonely postmen
creatures | the puddle hare | hides under | fern leaves | wedding hats
creatures | the bell toad | sings at | dusk | funerals for money
creatures | the kelp otter | carries | flat stones | a tiny umbrella
creatures | the thistle owl | nests in | hollow trees | warm ovens
creatures | the drum beetle | lives for | three summers | a thousand years
foods | plum bread | is baked with | rye flour | powdered bricks
foods | kelp soup | is served with | a sour roll | a pinch of gunpowder
foods | honey cake | is eaten at | midsummer | the bottom of the sea
foods | smoked tench | tastes of | alder wood | purple paint
foods | oat dumplings | are boiled in | sheep's milk | lamp oil
foods | thistle tea | helps against | a sore throat | being seen by ghosts
foods | pear butter | comes from | the southern orchards | the moon's dark side
foods | walnut pie | is shared by | the whole table | the king's seven tigers
places | Mount Arrel | is covered with | heather | sugar
places | Lake Sill | is fed by | mountain springs | a weeping giant
places | the Long Bridge | rests on | twelve arches | sleeping whales
places | the Pale Lighthouse | was painted by | its keepers | blind pirates
places | Whisper Cave | holds | old carvings | a second sun
places | the Old Mill | grinds | barley | stolen teeth
places | Cutter's Wood | is full of | birch trees | glass statues
places | the Salt Stair | leads down to | the harbour | the land of the dead
guilds | the lamp-keepers' hall | keeps | spare wicks | frozen lightning
guilds | the bell-ringers' hall | meets on | Monday | the roof of a cloud
guilds | the reed-cutters' hall | owns | forty punts | every shadow in town
guilds | the ferryfolk's hall | flies | a blue flag | a dragon's trousers
guilds | the kelp-farmers' hall | dries its crop on | long racks | the backs of snakes
guilds | the chalk-miners' hall | digs | school chalk | tunnels to the stars
guilds | the kite-smiths' hall | trains | ten pupils | armed pigeons
guilds | the clock-menders' hall | repairs | tower clocks | broken dreams
history | the first harbour | was opened in | a mild spring | total secrecy by wolves
history | the great flood | ended after | six days | a duel with a crab
history | Queen Ysolt | wrote | the island's laws | letters to a potato
history | the old coin | shows | a sheaf of oats | a laughing skull
history | the long winter | was survived on | stored barley | snowman meat
history | the island's flag | carries | a white gull | an upside-down horse
history | Captain Dorrow | mapped | the eastern reefs | the inside of a whale
history | the first school | taught | reading and sums | burglary and magic
"""

FACTS: tuple[Fact, ...] = tuple(
    Fact(*(cell.strip() for cell in line.split("|"))) for line in _TABLE.strip().split("\n")
)
TOPICS: tuple[str, ...] = tuple(dict.fromkeys(fact.topic for fact in FACTS))

RULES: dict[str, tuple[str, ...]] = {
    "town": TOWNS,
    "town2": TOWNS,
    "food": FOODS,
    "creature": CREATURES,
    "guild": GUILDS,
    "person": PEOPLE,
    "person2": PEOPLE,
    "day": DAYS,
    "season": ("spring", "summer", "autumn", "winter"),
    "weather": ("fog", "light rain", "a warm wind", "clear skies", "early frost", "low clouds", "a spring tide"),
    "thing": ("a lantern", "a copper kettle", "a coil of rope", "a reed basket", "a paper kite", "a sack of barley"),
    "place": ("the market square", "the harbour", "the Long Bridge", "the Old Mill", "Lake Sill", "the Salt Stair"),
    "count": ("two", "three", "five", "seven", "nine", "twelve", "twenty", "forty"),
}
"""Slots that every register may use."""
