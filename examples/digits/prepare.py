"""Write the handwritten digits that ship with scikit-learn to data/digits.csv, once."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path("data/digits.csv")


def main() -> None:
    digits = load_digits()
    pixels = [f"p{row}{column}" for row in range(8) for column in range(8)]
    table = np.column_stack([digits.data, digits.target]).astype(int)
    TARGET.parent.mkdir(exist_ok=True)
    header = ",".join([*pixels, "digit"])
    np.savetxt(TARGET, table, fmt="%d", delimiter=",", header=header, comments="")
    print(f"{TARGET}: {len(table)} digits of {len(pixels)} pixels")


if __name__ == "__main__":
    main()
