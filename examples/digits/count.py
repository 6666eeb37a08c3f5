"""Count the lines of files, and say nothing to gittrack about them.

gittrack run -n count -- python count.py data/digits.csv notes.txt
"""

import sys


def main() -> None:
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8") as file:
            print(name, sum(1 for _ in file), "lines")


if __name__ == "__main__":
    main()
