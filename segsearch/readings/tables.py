"""Names, numbers and colours of published data sets, as their authors give them."""

from __future__ import annotations

from typing import NamedTuple


class Trained(NamedTuple):
    """A class of Cityscapes that is trained: its place in the table is its training id."""

    name: str
    label_id: int
    colour: int


class Painted(NamedTuple):
    """A colour of CamVid, and which of the 11 customary classes it goes to; None: void."""

    name: str
    colour: int
    merged: str | None


# Label ids go from 0 to 33; those that are not here are void when training.
CITYSCAPES = (
    Trained("road", 7, 0x804080),
    Trained("sidewalk", 8, 0xF423E8),
    Trained("building", 11, 0x464646),
    Trained("wall", 12, 0x66669C),
    Trained("fence", 13, 0xBE9999),
    Trained("pole", 17, 0x999999),
    Trained("traffic light", 19, 0xFAAA1E),
    Trained("traffic sign", 20, 0xDCDC00),
    Trained("vegetation", 21, 0x6B8E23),
    Trained("terrain", 22, 0x98FB98),
    Trained("sky", 23, 0x4682B4),
    Trained("person", 24, 0xDC143C),
    Trained("rider", 25, 0xFF0000),
    Trained("car", 26, 0x00008E),
    Trained("truck", 27, 0x000046),
    Trained("bus", 28, 0x003C64),
    Trained("train", 31, 0x005064),
    Trained("motorcycle", 32, 0x0000E6),
    Trained("bicycle", 33, 0x770B20),
)
CITYSCAPES_LABEL_IDS = 34

# VOC 2012: the place is the value, 255 is void.
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOC_VOID_COLOUR = 0xE0E0C0

# In the order of label_colors.txt, which is also that of the values where the masks are indices.
CAMVID = (
    Painted("Animal", 0x408040, "pedestrian"),
    Painted("Archway", 0xC00080, "building"),
    Painted("Bicyclist", 0x0080C0, "bicyclist"),
    Painted("Bridge", 0x008040, "building"),
    Painted("Building", 0x800000, "building"),
    Painted("Car", 0x400080, "car"),
    Painted("CartLuggagePram", 0x4000C0, "pedestrian"),
    Painted("Child", 0xC08040, "pedestrian"),
    Painted("Column_Pole", 0xC0C080, "pole"),
    Painted("Fence", 0x404080, "fence"),
    Painted("LaneMkgsDriv", 0x8000C0, "road"),
    Painted("LaneMkgsNonDriv", 0xC00040, "road"),
    Painted("Misc_Text", 0x808040, "sign_symbol"),
    Painted("MotorcycleScooter", 0xC000C0, "bicyclist"),
    Painted("OtherMoving", 0x804040, "car"),
    Painted("ParkingBlock", 0x40C080, "pavement"),
    Painted("Pedestrian", 0x404000, "pedestrian"),
    Painted("Road", 0x804080, "road"),
    Painted("RoadShoulder", 0x8080C0, "pavement"),
    Painted("Sidewalk", 0x0000C0, "pavement"),
    Painted("SignSymbol", 0xC08080, "sign_symbol"),
    Painted("Sky", 0x808080, "sky"),
    Painted("SUVPickupTruck", 0x4080C0, "car"),
    Painted("TrafficCone", 0x000040, "pole"),
    Painted("TrafficLight", 0x004040, "sign_symbol"),
    Painted("Train", 0xC04080, "car"),
    Painted("Tree", 0x808000, "tree"),
    Painted("Truck_Bus", 0xC080C0, "car"),
    Painted("Tunnel", 0x400040, "building"),
    Painted("VegetationMisc", 0xC0C000, "tree"),
    Painted("Void", 0x000000, None),
    Painted("Wall", 0x40C000, "building"),
)
# The place is the value, 11 is void.
CAMVID_MERGED = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip

# Scene parsing: value 1 is the first, 0 is void.
ADE20K = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet",
    "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water",
    "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk",
    "rock", "wardrobe", "lamp", "bathtub", "railing", "cushion", "base", "box", "column", "signboard",
    "chest of drawers", "counter", "sand", "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path",
    "stairs", "runway", "case", "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase",
    "blind", "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm",
    "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus", "towel", "light",
    "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television", "airplane", "dirt track",
    "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster", "stage", "van",
    "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool", "barrel",
    "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank", "trade name",
    "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture", "hood", "sconce",
    "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor", "bulletin board",
    "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip


def voc_colour(index: int) -> int:
    """The colour 0xRRGGBB of an index, 0 to 255: its bits are dealt out to red, green and blue, high bits first."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << 7 - bit // 3
    red, green, blue = channels
    return red << 16 | green << 8 | blue
