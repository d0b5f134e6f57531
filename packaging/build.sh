#!/usr/bin/env bash
# Builds the Debian packages maglev, maglev-dashboard and maglev-client into target/debian. Further arguments go to cargo
# deb, for example --deb-version 1.2.3-1 or --maintainer 'NAME <ADDRESS>'.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deb --version >/dev/null 2>&1; then
    echo "cargo-deb is missing; install it with: cargo install --locked cargo-deb" >&2
    exit 1
fi
if ! command -v dpkg-shlibdeps >/dev/null; then
    echo "dpkg-shlibdeps, which finds the packages' dependencies, is missing: apt-get install dpkg-dev" >&2
    exit 1
fi
# The packages' lists name files below target/.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR
# Two builds of one commit are the same.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

cargo build --release --locked -p maglev-brain -p maglev-dpagent -p maglev-dashboard -p maglevc -p maglev-tester

# What is not in the repository as it is in the packages. cargo deb takes what lies in target/ for programs.
staged=packaging/staged
rm -rf "$staged"
mkdir -p "$staged"/{doc,man,completions}
cp README.md CONTRIBUTING.md CHANGELOG.md "$staged/doc/"
cp -r docs/. "$staged/doc/"
mkdir -p "$staged/doc/examples"
mv "$staged/doc/example.yaml" "$staged/doc/examples/maglev.yaml"
cp -r systemd/dropins "$staged/doc/examples/"
# The documents are beside the README there, and the example elsewhere.
sed -i 's#](docs/#](#g' "$staged"/doc/{README,CONTRIBUTING}.md
sed -i 's#](\.\./README\.md#](README.md#g' "$staged"/doc/*.md
sed -i 's#](example\.yaml)#](examples/maglev.yaml)#g' "$staged"/doc/*.md
maglevc=target/release/maglevc
"$maglevc" man "$staged/man"
"$maglevc" completions bash >"$staged/completions/maglevc"
"$maglevc" completions zsh >"$staged/completions/_maglevc"
"$maglevc" completions fish >"$staged/completions/maglevc.fish"
maglevt=target/release/maglevt
"$maglevt" --man >"$staged/man/maglevt.1"
"$maglevt" --completions bash >"$staged/completions/maglevt"
"$maglevt" --completions zsh >"$staged/completions/_maglevt"
"$maglevt" --completions fish >"$staged/completions/maglevt.fish"

for crate in maglev-brain maglev-dashboard maglevc; do
    # Debian's packages have no debug symbols; a panic names its file and line without them.
    cargo deb --no-build --locked --strip -p "$crate" "$@"
done
