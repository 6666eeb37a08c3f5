#!/usr/bin/env bash
# Make a fresh repository from this folder, track some runs in it, and look at them.
#   demo.sh [FOLDER]      by default build/demo-digits in the checkout of gittrack
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:-$here/../../build/demo-digits}
made_by_us=.git/made-by-gittrack-demo

# Nothing of a surrounding git command or pager may reach the demo's repository.
unset $(git rev-parse --local-env-vars)
export GIT_PAGER=cat PAGER=cat

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

note() { printf '\n%s# %s%s\n' "$bold" "$1" "$plain"; }
t() { printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"; eval "$1"; }

# For what is meant to fail: it must, with this exit code.
t_fails() {
  local expected=$1 code=0
  t "$2" || code=$?
  if [ "$code" != "$expected" ]; then
    echo "expected exit code $expected, got $code" >&2
    exit 1
  fi
  echo "(exit code $code, as it should be)"
}

if [ -e "$folder" ]; then
  if [ ! -e "$folder/$made_by_us" ]; then
    echo "$folder exists and was not made by this demo: name another folder" >&2
    exit 1
  fi
  rm -rf "$folder" "$folder-remotes" "$folder-clone"
fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
remotes=$folder-remotes clone=$folder-clone
for one in "$remotes" "$clone"; do
  if [ -e "$one" ]; then
    echo "$one exists and was not made by this demo: name another folder" >&2
    exit 1
  fi
done
cd "$folder"

note "A fresh repository: the example's files, the data under DVC, the first commit"
git init --quiet --initial-branch=main
touch "$made_by_us"
git config user.name "Demo"
git config user.email "demo@example.org"
git config commit.gpgsign false
cp -R "$here/.gittrack" "$here/.gitignore" "$here/prepare.py" "$here/train.py" "$here/evaluate.py" "$here/count.py" "$here/README.md" .
t 'python prepare.py'
t 'dvc init --quiet'
t 'dvc remote add --default store "$remotes/data"'
t 'dvc add --quiet data/digits.csv'
t 'gittrack init'
t 'git add --all && git commit --quiet -m "Handwritten digits: training, settings, a pointer to the data"'

note "Six runs of four models"
t 'gittrack run -e digits -n linear -- python train.py --model logistic'
t 'gittrack run -e digits -n linear-fast -- python train.py --model logistic --lr 0.1'
t 'gittrack run -e digits -n forest -- python train.py --model forest'
t 'gittrack run -e digits -n kernel -t kind=svm -- python train.py --model svm'
t 'gittrack run -e digits -n net-32 -- python train.py --model mlp'
t 'gittrack run -e digits -n net-128 -- python train.py --model mlp --hidden 128'

note "This one fails on purpose; it is recorded all the same"
t_fails 1 'gittrack run -e digits -n broken -- python train.py --model mlp --lr 0.5 --fail'

note "Code that is not committed is refused, unless it is asked for: then a snapshot is kept"
t "echo '# a thought in passing' >> train.py"
t_fails 4 'gittrack run -e digits -- python train.py --model logistic'
t 'gittrack run -e digits -n thought --allow-dirty=tracked -- python train.py --model logistic --seed 1'
t 'git checkout --quiet train.py'

note "What do we have?"
t 'gittrack ls'
t 'gittrack ls "metrics.val/acc > 0.96 and status = finished" --sort -metrics.val/acc'
t 'gittrack best val/acc'
t 'gittrack show broken'
t 'gittrack diff net-32 net-128'
t 'gittrack curve linear net-128 val/acc'

note "All of it is git: the same without gittrack"
run=$(gittrack show best:val/acc --json | python -c 'import json, sys; print(json.load(sys.stdin)["id"])')
t "git log --oneline -3 experiments/digits/$run"
t "git show experiments/digits/$run:.gittrack/metrics.json"
t 'git status --short --branch'

note "Models and data: what the runs made, and which data they read"
t 'gittrack artifact ls'
t 'gittrack artifact ls digits-mlp'
t 'gittrack show net-128 inputs'

note "A team: runs go to the git remote, their data to the DVC remote"
git init --quiet --bare --initial-branch=main "$remotes/origin.git"
t 'git remote add origin "$remotes/origin.git" && git push --quiet origin main'
t 'gittrack push'

note "A registry of models: versions and stages are git tags, shared at once"
t 'gittrack model register digits linear -m "The baseline"'
t 'gittrack promote digits@v1 production'
t 'gittrack model register digits best:val/acc'
t 'gittrack promote digits@v2 production -m "Better, and still small"'
t 'gittrack model register digits linear-fast'

note "What production demands stands on the default branch; this version is not let in"
t "printf '%s\\n' 'registry:' '  stages:' '    production:' '      policy: [clean, pushed, {better: val/acc}]' >> .gittrack/config.yaml"
t 'git commit --quiet --all -m "What production demands" && git push --quiet origin main'
t_fails 4 'gittrack promote digits@v3 production'

note "Back to what was there before; who was what, when and why"
t 'gittrack model rollback digits production -m "Too slow on small machines"'
t 'gittrack model show digits'
t 'gittrack model history digits'
t 'gittrack model verify digits@production'
t 'gittrack log --graph --oneline digits@production'

note "A second clone gets a model back with one command"
t 'git clone --quiet "$remotes/origin.git" "$clone" && cd "$clone"'
t 'gittrack fetch'
t 'gittrack artifact get digits-forest:latest -o models'
t 'gittrack model get digits@production -o served'
t 'gittrack fsck'

note "And with nothing but git and DVC"
t "git checkout --quiet --detach \$(git log -1 --glob='refs/experiments/*' --grep='^Gittrack-Run: $run' --format=%H)"
t 'dvc pull --quiet -r gittrack'
t 'dvc status'
t 'ls -l data .gittrack/artifacts/out'
t 'git checkout --quiet main'

note "A change on a branch: five seeds before it, five on it, and what a pull request would say"
t 'cd "$folder"'
t 'gittrack run -e digits -n before --seeds 5 -- python train.py --model logistic --epochs 10 --seed {seed}'
t 'git switch --quiet -c brighter'
t "sed -i.orig 's|/ 16,|/ 4,|' train.py && rm train.py.orig && git commit --quiet --all -m 'Brighter digits'"
t 'gittrack run -e digits -n after --seeds 5 -- python train.py --model logistic --epochs 10 --seed {seed}'
t 'gittrack report main..brighter'
t 'gittrack report main..brighter --md > report.md && head -n 12 report.md'
t 'gittrack report main..brighter --html report.html --gate'
t 'rm report.md report.html && git switch --quiet main'

note "The repository is in $folder, the clone in $clone"
