"""Generated image files: what is in them, and what reading them must give, or say."""

import dataclasses
import io
import pathlib
from collections.abc import Callable

import imagecodecs
import nibabel
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (6, 5), np.uint8)
COLOURS = RANDOM.integers(0, 256, (6, 5, 3), np.uint8)
WORDS = RANDOM.integers(0, 2**16, (6, 5), np.uint16)
DEEP_COLOURS = RANDOM.integers(0, 2**16, (6, 5, 3), np.uint16)
SIGNED = RANDOM.integers(-(2**15), 2**15, (6, 5)).astype(np.int16)
LONG = RANDOM.integers(-(2**31), 2**31, (6, 5)).astype(np.int32)
FLOATS = RANDOM.normal(size=(6, 5)).astype(np.float32)
BITS = BYTES > 127
PAGES = RANDOM.integers(0, 2**16, (4, 6, 5), np.uint16)
VOXELS = RANDOM.integers(-1000, 1000, (5, 6, 4)).astype(np.int16)
OPAQUE = np.dstack([COLOURS, np.full((6, 5), 255, np.uint8)])
CLEAR = np.dstack([COLOURS, BYTES])


@dataclasses.dataclass(frozen=True)
class Case:
    """A file and what it must give: exact values, or words of the one line that refuses it."""

    name: str
    write: Callable[[pathlib.Path], None]
    expected: np.ndarray | str


def grey(values):
    return values[..., None]


def pillow(array, **options):
    return lambda path: Image.fromarray(array).save(path, **options)


def tiff(array, **options):
    return lambda path: tifffile.imwrite(path, array, **options)


def nifti(array, kind=nibabel.Nifti1Image, scale=None):
    def write(path):
        image = kind(array, np.eye(4))
        if scale:
            image.header.set_slope_inter(*scale)
        path.write_bytes(content(image, path))

    return write


def content(image, path):
    nibabel.save(image, path)
    return path.read_bytes()


def oriented(orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if suffix == "tif":
        return tiff(COLOURS, extratags=[(274, "H", 1, orientation, True)])
    return pillow(COLOURS, exif=exif)


def upright(orientation):
    """Where each orientation puts the first row and column of the stored image."""
    return {
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.swapaxes(0, 1),
        6: np.rot90(COLOURS, -1),
        7: COLOURS.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(COLOURS, 1),
    }[orientation]


def dicom(
    array, *, photometric="MONOCHROME2", scale=None, bits=None, big_endian=False, frames=1, place=None, series="1.2"
):
    def write(path):
        dataset = pydicom.Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.CTImageStorage, generate_uid()
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, "1.1"
        dataset.Rows, dataset.Columns = array.shape[-3:-1] if photometric == "RGB" else array.shape[-2:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3 if photometric == "RGB" else 1, photometric
        if photometric == "RGB":
            dataset.PlanarConfiguration = 0
        dataset.BitsAllocated = 8 * array.dtype.itemsize
        dataset.BitsStored = bits or dataset.BitsAllocated
        dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(array.dtype.kind == "i")
        if frames > 1:
            dataset.NumberOfFrames = frames
        if scale:
            dataset.RescaleSlope, dataset.RescaleIntercept = scale
        if place is not None:
            dataset.ImagePositionPatient = [0, 0, place]
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelData = array.astype(array.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
        dataset["PixelData"].VR = "OW" if array.dtype.itemsize > 1 else "OB"
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
        dataset.save_as(path, enforce_file_format=True)

    return write


def series(values, *, skip=(), uids=("1.2",)):
    def write(path):
        path.mkdir()
        # Names in another order than the slices.
        for place in range(len(values)):
            if place not in skip:
                uid = uids[place % len(uids)]
                dicom(values[place], place=2.5 * place, series=uid)(path / f"{(7 * place) % 10}.dcm")

    return write


def raw(data):
    return lambda path: path.write_bytes(data)


def encoded(array, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def two_images(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(COLOURS)
        writer.write(WORDS)


def animation(path):
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)


PALETTE = Image.fromarray(COLOURS).quantize(7)
IN_RGB = np.asarray(PALETTE.convert("RGB"))
NOT_FINITE = np.where(FLOATS > 1, np.nan, FLOATS)
JPEG = encoded(COLOURS, "JPEG", quality=95)

CASES = [
    Case("grey 8.png", pillow(BYTES), grey(BYTES)),
    Case("grey 16.png", pillow(WORDS), grey(WORDS)),
    Case("rgb 8.png", pillow(COLOURS), COLOURS),
    Case("rgb 16.png", raw(imagecodecs.png_encode(DEEP_COLOURS)), DEEP_COLOURS),
    Case("grey 16 alpha.png", raw(imagecodecs.png_encode(np.dstack([WORDS, WORDS]))), "transparent"),
    Case("1 bit.png", pillow(BITS), grey(BITS * np.uint8(255))),
    Case("palette.png", lambda path: PALETTE.save(path), IN_RGB),
    Case("palette transparent.png", lambda path: PALETTE.save(path, transparency=0), "transparent"),
    Case("opaque.png", pillow(OPAQUE), COLOURS),
    Case("transparent.png", pillow(CLEAR), "transparent"),
    Case("rgb.bmp", pillow(COLOURS), COLOURS),
    Case("grey.bmp", pillow(BYTES), grey(BYTES)),
    Case("rgb.webp", pillow(COLOURS, lossless=True), COLOURS),
    Case("animation.webp", animation, "holds 2 images"),
    Case("rgb.jpg", raw(JPEG), np.asarray(Image.open(io.BytesIO(JPEG)))),
    Case("cmyk.jpg", lambda path: Image.fromarray(COLOURS).convert("CMYK").save(path), "CMYK"),
    Case("little.tif", tiff(WORDS), grey(WORDS)),
    Case("big.tif", tiff(WORDS, byteorder=">"), grey(WORDS)),
    Case("bigtiff.tif", tiff(WORDS, bigtiff=True), grey(WORDS)),
    Case("signed.tif", tiff(SIGNED), grey(SIGNED)),
    Case("signed big.tif", tiff(SIGNED, byteorder=">"), grey(SIGNED)),
    Case("long.tif", tiff(LONG), grey(LONG)),
    Case("unsigned long.tif", tiff(LONG.view(np.uint32)), grey(LONG.view(np.uint32))),
    Case("float.tif", tiff(FLOATS), grey(FLOATS)),
    Case("half.tif", tiff(FLOATS.astype(np.float16)), grey(FLOATS.astype(np.float16))),
    Case("double big.tif", tiff(FLOATS.astype(np.float64) / 3, byteorder=">"), grey(FLOATS.astype(np.float64) / 3)),
    Case("1 bit.tif", tiff(BITS, photometric="minisblack"), grey(BITS * np.uint8(255))),
    Case("1 bit, white is zero.tif", tiff(BITS, photometric="miniswhite"), grey(~BITS * np.uint8(255))),
    Case("rgb.tif", tiff(COLOURS), COLOURS),
    Case("rgb 16.tif", tiff(DEEP_COLOURS, photometric="rgb"), DEEP_COLOURS),
    Case("planar.tif", tiff(np.moveaxis(COLOURS, -1, 0), photometric="rgb", planarconfig="separate"), COLOURS),
    Case("white is zero.tif", tiff(BYTES, photometric="miniswhite"), grey(255 - BYTES)),
    Case("palette.tif", lambda path: PALETTE.save(path), IN_RGB),
    Case("opaque.tif", tiff(OPAQUE, photometric="rgb", extrasamples=["unassalpha"]), COLOURS),
    Case("transparent.tif", tiff(CLEAR, photometric="rgb", extrasamples=["unassalpha"]), "transparent"),
    Case("cmyk.tif", tiff(CLEAR, photometric="separated"), "SEPARATED"),
    Case("zlib.tif", tiff(WORDS, compression="zlib", predictor=True), grey(WORDS)),
    Case("lzw.tif", tiff(WORDS, compression="lzw"), grey(WORDS)),
    Case("tiles.tif", tiff(WORDS, tile=(16, 16)), grey(WORDS)),
    Case("pages.tif", tiff(PAGES, photometric="minisblack"), grey(PAGES)),
    Case("pages big.tif", tiff(PAGES, photometric="minisblack", byteorder=">"), grey(PAGES)),
    Case("slices.tif", tiff(PAGES, imagej=True, metadata={"axes": "ZYX"}), grey(PAGES)),
    Case("channels.tif", tiff(PAGES, imagej=True, metadata={"axes": "CYX"}), np.moveaxis(PAGES, 0, -1)),
    Case("frames.tif", tiff(PAGES, imagej=True, metadata={"axes": "TYX"}), "axes are TYX"),
    Case("two images.tif", two_images, "holds 2 images"),
    Case("nan.tif", tiff(NOT_FINITE), "NaN"),
    Case("constant.tif", tiff(np.full((6, 5), 300, np.uint16)), grey(np.full((6, 5), 300, np.uint16))),
    *(Case(f"exif {i}.{kind}", oriented(i, kind), upright(i)) for i in range(2, 9) for kind in ("png", "tif")),
    Case("volume.nii", nifti(VOXELS), grey(VOXELS.T)),
    Case("volume.nii.gz", nifti(VOXELS), grey(VOXELS.T)),
    Case("volume 2.nii", nifti(VOXELS, nibabel.Nifti2Image), grey(VOXELS.T)),
    Case("scaled.nii", nifti(VOXELS, scale=(0.5, -7)), grey(VOXELS.T * 0.5 - 7)),
    Case("time.nii", nifti(np.stack([VOXELS, VOXELS], -1)), "expected one volume"),
    Case("12 bits.dcm", dicom(WORDS >> 4, bits=12), grey(WORDS >> 4)),
    Case("big.dcm", dicom(WORDS, big_endian=True), grey(WORDS)),
    Case("hounsfield.dcm", dicom(SIGNED, scale=(1, -1024)), grey(SIGNED.astype(np.int32) - 1024)),
    Case("scaled.dcm", dicom(WORDS, scale=(0.5, 3)), grey(WORDS * 0.5 + 3)),
    Case("inverted.dcm", dicom(WORDS >> 4, bits=12, photometric="MONOCHROME1"), grey(4095 - (WORDS >> 4))),
    Case("rgb.dcm", dicom(COLOURS, photometric="RGB"), COLOURS),
    Case("frames.dcm", dicom(PAGES, frames=4), grey(PAGES)),
    Case("series", series(PAGES), grey(PAGES)),
    Case("series with a gap", series(PAGES, skip=(1,)), "missing or doubled"),
    Case("two series", series(PAGES, uids=("1.2", "1.3")), "several series"),
    Case("empty.png", raw(b""), "empty"),
    Case("empty.tif", raw(b""), "empty"),
    Case("text.jpg", raw(b"no image at all"), "damaged"),
    Case("half.png", raw(encoded(RANDOM.integers(0, 256, (40, 40), np.uint8), "PNG")[:800]), "damaged"),
    Case("half.jpg", raw(JPEG[: len(JPEG) - 40]), "damaged"),
    Case("notes.txt", raw(b"no image"), "no image by its name"),
]
