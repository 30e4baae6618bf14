"""MedMNIST v2 by name: its files as published, with their official splits, tasks and class names."""

import dataclasses
import hashlib
import pathlib

from experiments.data._labels import CLASSES, MULTI_LABEL, ORDINAL
from experiments.data._listing import Listing
from experiments.data.layouts._npz import list_npz
from experiments.errors import UserError

URL = "https://zenodo.org/record/6496656/files/{name}.npz?download=1"
_ORGANS = "bladder|femur-left|femur-right|heart|kidney-left|kidney-right|liver|lung-left|lung-right|pancreas|spleen"


@dataclasses.dataclass(frozen=True)
class Published:
    """One file of MedMNIST v2.

    Attributes:
      md5: its checksum.
      names: of its classes, separated by "|".
      task: "classes", "multi_label" or "ordinal".
    """

    md5: str
    names: str
    task: str = CLASSES


# Reference: Yang et al., MedMNIST v2, Scientific Data 10, 41 (2023); checksums as published with the files.
MEDMNIST = {
    "pathmnist": Published(
        "a8b06965200029087d5bd730944a56c1",
        "adipose|background|debris|lymphocytes|mucus|smooth muscle|normal colon mucosa|cancer-associated stroma|"
        "colorectal adenocarcinoma epithelium",
    ),
    "chestmnist": Published(
        "02c8a6516a18b556561a56cbdd36c4a8",
        "atelectasis|cardiomegaly|effusion|infiltration|mass|nodule|pneumonia|pneumothorax|consolidation|edema|emphysema|"
        "fibrosis|pleural|hernia",
        MULTI_LABEL,
    ),
    "dermamnist": Published(
        "0744692d530f8e62ec473284d019b0c7",
        "actinic keratoses and intraepithelial carcinoma|basal cell carcinoma|benign keratosis-like lesions|"
        "dermatofibroma|melanoma|melanocytic nevi|vascular lesions",
    ),
    "octmnist": Published(
        "c68d92d5b585d8d81f7112f81e2d0842", "choroidal neovascularization|diabetic macular edema|drusen|normal"
    ),
    "pneumoniamnist": Published("28209eda62fecd6e6a2d98b1501bb15f", "normal|pneumonia"),
    "retinamnist": Published("bd4c0672f1bba3e3a89f0e4e876791e4", "0|1|2|3|4", ORDINAL),
    "breastmnist": Published("750601b1f35ba3300ea97c75c52ff8f6", "malignant|normal, benign"),
    "bloodmnist": Published(
        "7053d0359d879ad8a5505303e11de1dc",
        "basophil|eosinophil|erythroblast|immature granulocytes|lymphocyte|monocyte|neutrophil|platelet",
    ),
    "tissuemnist": Published(
        "ebe78ee8b05294063de985d821c1c34b",
        "Collecting Duct, Connecting Tubule|Distal Convoluted Tubule|Glomerular endothelial cells|"
        "Interstitial endothelial cells|Leukocytes|Podocytes|Proximal Tubule Segments|Thick Ascending Limb",
    ),
    "organamnist": Published("866b832ed4eeba67bfb9edee1d5544e6", _ORGANS),
    "organcmnist": Published("0afa5834fb105f7705a7d93372119a21", _ORGANS),
    "organsmnist": Published("e5c39f1af030238290b9557d9503af9d", _ORGANS),
    "organmnist3d": Published(
        "21f0a239e7f502e6eca33c3fc453c0b6",
        "liver|kidney-right|kidney-left|femur-right|femur-left|bladder|heart|lung-right|lung-left|spleen|pancreas",
    ),
    "nodulemnist3d": Published("8755a7e9e05a4d9ce80a24c3e7a256f3", "benign|malignant"),
    "adrenalmnist3d": Published("bbd3c5a5576322bc4cdfea780653b1ce", "normal|hyperplasia"),
    "fracturemnist3d": Published(
        "6aa7b0143a6b42da40027a9dda61302f",
        "buckle rib fracture|nondisplaced rib fracture|displaced rib fracture",
    ),
    "vesselmnist3d": Published("2ba5b80617d705141f3f85627108fce8", "vessel|aneurysm"),
    "synapsemnist3d": Published("1235b78a3cd6280881dd7850a78eadb6", "inhibitory synapse|excitatory synapse"),
}


def list_medmnist(name: str, directory: str) -> Listing:
    """Lists a published file of MedMNIST with its official splits.

    Args:
      name: one of `MEDMNIST`.
      directory: that holds NAME.npz, or the file itself.

    Raises:
      UserError: an unknown name, no file, or another file than the published one.
    """
    if name not in MEDMNIST:
        raise UserError(
            f"MedMNIST has no {name!r}; expected one of {', '.join(MEDMNIST)}; "
            "files of larger images: --config.dataset=npz --config.data_dir=FILE.npz"
        )
    published = MEDMNIST[name]
    path = pathlib.Path(directory)
    path = path if path.suffix == ".npz" else path / f"{name}.npz"
    source = f"{URL.format(name=name)} (MD5 {published.md5})"
    if not path.is_file():
        raise UserError(
            f"--config.dataset=medmnist:{name}: expected {path}; there is no such file; download {source} to it, or name its "
            "folder by --config.data_dir=DIR"
        )
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    if md5 != published.md5:
        raise UserError(
            f"{path} is not the published file or is truncated: expected MD5 {published.md5}; got {md5}; download {source}"
        )
    return list_npz(str(path), published.task, names=tuple(published.names.split("|")))
