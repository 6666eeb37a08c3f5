"""Try the newest net on all digits: its model is an artifact of the run that trained it.

gittrack run -n eval -- python evaluate.py
"""

from __future__ import annotations

import pickle

import numpy as np
from sklearn.metrics import accuracy_score

import gittrack


def main() -> None:
    with gittrack.start_run(experiment="digits") as run:
        table = np.loadtxt(run.use("data/digits.csv"), delimiter=",", skiprows=1)
        with open(run.use("digits-mlp:latest"), "rb") as file:
            model = pickle.load(file)
        run.log_metric("all/acc", accuracy_score(table[:, -1].astype(int), model.predict(table[:, :-1] / 16)))


if __name__ == "__main__":
    main()
