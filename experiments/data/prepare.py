"""Prepares a data set with TFDS: `python -m experiments.data.prepare NAME --data_dir DIR`.

CIFAR-10 and PatchCamelyon are downloaded; preparing them needs TensorFlow (the extra [data]), training does not.
rotated_mnist is made from the files in DIR, without TensorFlow. The format is array_record, which allows random access.
"""

from experiments.errors import Parser, UserError, exit_on_user_error

NAMES = ("cifar10", "patch_camelyon", "rotated_mnist")


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Downloads and prepares one data set."""
    parser = Parser(description="Prepares a data set for training.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--data_dir", default="data")
    options = parser.parse_args(arguments)
    prepare(options.name, options.data_dir)


def prepare(name: str, directory: str) -> None:
    """Downloads a data set, if it can be downloaded, and writes it as array_record files.

    Raises:
      UserError: TensorFlow is not installed, or the download failed.
    """
    import tensorflow_datasets as tfds

    try:
        if name == "rotated_mnist":
            from experiments.data.rotated_mnist import RotatedMnist

            builder = RotatedMnist(data_dir=directory, file_format="array_record")
            options = tfds.download.DownloadConfig(manual_dir=directory)
        else:
            options = None
            builder = tfds.builder(name, data_dir=directory, file_format="array_record")
        builder.download_and_prepare(download_config=options)
    except ImportError as error:
        raise UserError(
            f"{name}: preparing it needs TensorFlow; run pip install 'gequi_jax[data]' ({_first_line(error)})"
        ) from error
    except (OSError, tfds.download.DownloadError) as error:
        raise UserError(f"{name} could not be prepared in {directory!r}: {_first_line(error)}") from error
    print(f"{name} is prepared in {directory}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


if __name__ == "__main__":
    main()
