"""Train one classifier on the handwritten digits and track it.

    python train.py --model mlp --hidden 64 --lr 0.01

The file reads top to bottom: the four models, the loop that logs, the command line.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, hinge_loss, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

import gittrack

DIGITS = np.arange(10)
FAIL_AFTER = 5  # epochs, with --fail

# Which options a model listens to; the others are not its params.
OPTIONS = {
    "logistic": ["lr", "alpha"],
    "svm": ["lr", "alpha", "gamma", "components"],
    "mlp": ["lr", "alpha", "hidden"],
    "forest": ["depth", "trees_per_epoch"],
}


def fit_by_epochs(args: argparse.Namespace, x: np.ndarray, y: np.ndarray) -> Iterator[Any]:
    """The model after each epoch, ready to predict."""
    if args.model == "forest":
        forest = RandomForestClassifier(n_estimators=0, max_depth=args.depth, warm_start=True, random_state=args.seed)
        for _ in range(args.epochs):
            forest.n_estimators += args.trees_per_epoch  # a warm start keeps the trees it has
            yield forest.fit(x, y)
        return

    if args.model == "mlp":
        learner = MLPClassifier(args.hidden, learning_rate_init=args.lr, alpha=args.alpha, random_state=args.seed)
    else:
        learner = SGDClassifier(
            loss="hinge" if args.model == "svm" else "log_loss",
            learning_rate="constant",
            eta0=args.lr,
            alpha=args.alpha,
            random_state=args.seed,
        )
    model = learner
    if args.model == "svm":
        kernel = Nystroem(gamma=args.gamma, n_components=args.components, random_state=args.seed)
        x = kernel.fit_transform(x)
        model = make_pipeline(kernel, learner)
    for _ in range(args.epochs):
        learner.partial_fit(x, y, classes=DIGITS)
        yield model


def loss(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    if hasattr(model, "predict_proba"):
        return float(log_loss(y, model.predict_proba(x), labels=DIGITS))
    return float(hinge_loss(y, model.decision_function(x), labels=DIGITS))


def log_confusion(run: gittrack.ActiveRun, truth: np.ndarray, guess: np.ndarray) -> None:
    try:
        import matplotlib
    except ImportError:
        print("no matplotlib, so no picture of the confusions")
        return
    matplotlib.use("Agg")
    from sklearn.metrics import ConfusionMatrixDisplay

    display = ConfusionMatrixDisplay.from_predictions(truth, guess, colorbar=False)
    run.log_figure(display.figure_, "confusion.png")


def train(args: argparse.Namespace) -> None:
    params = {"model": args.model, "seed": args.seed, "epochs": args.epochs}
    params |= {name: getattr(args, name) for name in OPTIONS[args.model]}

    with gittrack.start_run(experiment="digits", params=params) as run:
        gittrack.set_seeds(args.seed)
        table = np.loadtxt(run.use("data/digits.csv"), delimiter=",", skiprows=1)
        # One split for all runs, whatever their seed: runs are compared on the same digits.
        x, x_val, y, y_val = train_test_split(
            table[:, :-1] / 16,
            table[:, -1].astype(int),
            test_size=0.3,
            stratify=table[:, -1],
            random_state=0,
        )

        for step, model in enumerate(fit_by_epochs(args, x, y)):
            if args.fail and step == FAIL_AFTER:
                raise RuntimeError(f"failing on purpose after {FAIL_AFTER} epochs (--fail)")
            guess = model.predict(x_val)
            acc = accuracy_score(y_val, guess)
            run.log_metric("train/loss", loss(model, x, y), step=step)
            run.log_metrics({"val/acc": acc, "val/f1": f1_score(y_val, guess, average="macro")}, step=step)
        print(f"{args.model}: {acc:.4f} of the validation digits are right")

        log_confusion(run, y_val, guess)
        path = Path("out") / f"{args.model}.pkl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(model))
        run.log_artifact(path, name=f"digits-{args.model}", kind="model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(OPTIONS), default="logistic")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--alpha", type=float, default=1e-4, help="L2 penalty")
    parser.add_argument("--hidden", type=int, nargs="+", default=[32], help="units per layer")
    parser.add_argument("--gamma", type=float, default=0.1, help="width of the svm's kernel")
    parser.add_argument("--components", type=int, default=200, help="rank of the svm's kernel")
    parser.add_argument("--depth", type=int, default=8, help="of each tree")
    parser.add_argument("--trees-per-epoch", type=int, default=2)
    parser.add_argument("--fail", action="store_true", help="fail on purpose after some epochs")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
