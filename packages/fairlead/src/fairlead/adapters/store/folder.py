"""The folder in which a node keeps its state."""

from pathlib import Path


def open_folder(folder: Path) -> None:
    """Make the folder where there is none. Raises OSError.

    Others may pass through, to what else is below, and not look around; what is kept there is for its owner's eyes.
    """
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
