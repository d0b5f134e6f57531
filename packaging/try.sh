#!/usr/bin/env bash
# Installs, upgrades, removes and purges the packages in target/debian in a Debian of its own, which systemd boots in a
# container, with vppsim for VPP. It takes root, and downloads a Debian at the first run.
#
#   packaging/build.sh && cargo build --release -p vppsim && sudo packaging/try.sh [SUITE]
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:-bookworm}
# As this machine's own, if that is a Debian.
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep '/debian/*$' | head -1)}
base=target/packaging-try/$suite
for program in debootstrap systemd-nspawn nsenter dpkg-deb; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install debootstrap systemd-container" >&2; exit 1; }
done
if [ -z "$mirror" ]; then
    echo "no mirror of Debian is known here: name one, as MIRROR=http://HOST/debian" >&2
    exit 1
fi
package=$(ls -t target/debian/maglev_*.deb | head -1)
client=$(ls -t target/debian/maglev-client_*.deb | head -1)
vppsim=${VPPSIM:-target/release/vppsim}

if [ ! -e "$base.done" ]; then
    mkdir -p "$base"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3-minimal,iproute2 "$suite" "$base" "$mirror"
    touch "$base.done"
fi
root=$(mktemp -d /var/tmp/maglev-try.XXXXXX)
cp -a "$base/." "$root"
: >"$root/etc/machine-id"
rm -f "$root/usr/sbin/policy-rc.d"

nspawn=
leader=
end() {
    [ -z "$leader" ] || kill -s RTMIN+4 "$leader" 2>/dev/null || true # a shutdown, in systemd's terms
    [ -z "$nspawn" ] || wait "$nspawn" 2>/dev/null || true
    rm -rf "$root"
}
trap end EXIT

# The capabilities and bpf() are for the address filters of the units.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -D "$root" --boot --register=no --keep-unit --private-network \
    --capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON --system-call-filter=bpf --console=pipe </dev/null >/dev/null 2>&1 &
nspawn=$!
for _ in $(seq 50); do
    leader=$(pgrep -P "$nspawn" || true)
    [ -z "$leader" ] || break
    sleep 0.2
done
inside() { timeout 60 nsenter -t "$leader" -a -r -w "$@"; }
# The container's systemd takes calls a while after its start.
for _ in $(seq 100); do
    if inside systemctl is-active --quiet multi-user.target 2>/dev/null; then break; fi
    sleep 0.2
done

failed=0
check() {
    local what=$1
    shift
    if "$@" >/dev/null; then echo "ok: $what"; else echo "FAILED: $what"; failed=1; fi
}
show() { inside systemctl show --property "$2" --value "$1"; }
is_active() { inside systemctl is-active --quiet "$@"; }
agent_pid() { show maglev-dpagent MainPID; }
brain_pid() { show maglev-brain MainPID; }
install_package() { inside dpkg --install "$@" 2>&1 | sed 's/^/    /'; }
within() { # SECONDS COMMAND...
    local left=$(($1 * 5))
    shift
    while [ $left -gt 0 ]; do
        if "$@"; then return 0; fi
        left=$((left - 1))
        sleep 0.2
    done
    return 1
}

cp "$package" "$root/maglev.deb"
cp "$client" "$root/maglev-client.deb"
install -m 0755 "$vppsim" "$root/usr/local/bin/vppsim"
cp packaging/try/*.py "$root/usr/local/bin/"
cp packaging/try/*.service "$root/etc/systemd/system/"
inside ip link set lo up
for address in 10.0.0.2 169.254.169.254; do inside ip address add $address/32 dev lo; done

echo "== install"
install_package /maglev.deb /maglev-client.deb
check "the agent runs" within 10 is_active maglev-dpagent
check "the brain waits for a configuration" test "$(show maglev-brain ActiveState)" = inactive
check "its sockets wait too" test "$(show maglev-brain-grpc.socket ActiveState)" = inactive
check "everything is enabled" inside systemctl is-enabled --quiet maglev-dpagent.service maglev-brain.service maglev-brain-grpc.socket maglev-brain-metrics.socket
check "the policy belongs to root, 0644" test "$(stat -c '%u:%g %a' "$root/etc/maglev/policy.yaml")" = "0:0 644"
check "installing once more changes nothing" inside dpkg --install /maglev.deb

echo "== fill in and start"
cp packaging/try/maglev.yaml packaging/try/policy.yaml "$root/etc/maglev/"
# A watchdog that barks soon.
for service in maglev-brain maglev-dpagent; do
    mkdir -p "$root/etc/systemd/system/$service.service.d"
    printf '[Service]\nWatchdogSec=3\n' >"$root/etc/systemd/system/$service.service.d/watchdog.conf"
done
inside systemctl daemon-reload
inside systemctl start vppsim web
inside systemctl restart maglev-dpagent
inside systemctl start maglev-brain
check "the brain is ready" is_active maglev-brain maglev-brain-grpc.socket maglev-brain-metrics.socket
in_step() { inside maglevc --server unix:/run/maglev-brain/brain.sock show frontends shop | grep -q 'Sync *synced'; }
check "VPP has what was decided" within 15 in_step
check "it reaches no link-local address, which answers others" inside sh -c \
    'maglevc --server unix:/run/maglev-brain/brain.sock show backends local | grep -q "^State *down" &&
     python3 -c "import socket; socket.create_connection((\"169.254.169.254\", 8080))"'
check "over TCP it is the same brain" inside maglevc --server 127.0.0.1:17090 show frontends
check "the tester of VIPs is there" inside maglevt --version
inside systemctl show -p Type,WatchdogUSec,NRestarts,Result,MainPID maglev-brain maglev-dpagent | sed 's/^/    /'

echo "== restart, kill and reload the brain"
agent=$(agent_pid)
inside python3 /usr/local/bin/knock.py 9 >"$root/knocked" 2>&1 &
knocking=$!
sleep 1
inside systemctl restart maglev-brain
sleep 2
inside systemctl kill --signal KILL --kill-who main maglev-brain
check "it comes back after a kill" within 10 is_active maglev-brain
wait "$knocking" || true
check "its sockets refused no connection: $(tail -1 "$root/knocked")" grep -q ' refused 0 ' "$root/knocked"
check "the agent ran on" test "$(agent_pid)" = "$agent"
check "a reload is accepted" inside systemctl reload maglev-brain
check "its log lines have fields" inside sh -c 'journalctl --quiet _COMM=maglev-brain _TRANSPORT=journal --output json | grep -q BACKEND'
for service in maglev-brain maglev-dpagent; do
    before=$(show $service MainPID)
    inside systemctl kill --signal STOP --kill-who main $service
    restarted() { is_active $service && [ "$(show $service MainPID)" != "$before" ]; }
    check "a $service that hangs is started anew" within 15 restarted
done

# Makes NAME.deb of the package, with another version, and after COMMAND in its unpacked tree.
repack() { # NAME VERSION COMMAND...
    local tree=$root/repack name=$1 version=$2
    shift 2
    rm -rf "$tree"
    dpkg-deb -R "$root/maglev.deb" "$tree"
    sed -i "s/^Version: .*/Version: $version/" "$tree/DEBIAN/control"
    (cd "$tree" && "$@")
    dpkg-deb --root-owner-group -b "$tree" "$root/$name.deb" >/dev/null
}
# A new agent that speaks another protocol, as far as the package's scripts can tell.
other_protocol() {
    mkdir -p usr/lib/maglev
    mv usr/bin/maglev-dpagent usr/lib/maglev/
    cat >usr/bin/maglev-dpagent <<'EOF'
#!/bin/sh
[ "$1" != --print-protocol ] || { echo 999; exit; }
exec /usr/lib/maglev/maglev-dpagent "$@"
EOF
    chmod 755 usr/bin/maglev-dpagent
}

echo "== upgrade, same protocol"
agent=$(agent_pid) brain=$(brain_pid)
repack same 99.1-1 sh -c 'echo >>usr/bin/maglev-dpagent'
inside python3 /usr/local/bin/knock.py 8 >"$root/knocked" 2>&1 &
knocking=$!
sleep 1
install_package /same.deb
check "the agent ran on" test "$(agent_pid)" = "$agent"
check "from a file that is gone" grep -q deleted <(inside readlink "/proc/$agent/exe")
check "the brain is another process" test "$(brain_pid)" != "$brain"
check "VPP is in step" within 15 in_step
wait "$knocking" || true
check "no connection was refused: $(tail -1 "$root/knocked")" grep -q ' refused 0 ' "$root/knocked"

echo "== upgrade, with a configuration that the new version does not take"
brain=$(brain_pid)
echo "  unknown: 1" >>"$root/etc/maglev/maglev.yaml"
repack unfit 99.2-1 true
install_package /unfit.deb
check "the brain ran on" test "$(brain_pid)" = "$brain"
cp packaging/try/maglev.yaml "$root/etc/maglev/"

echo "== upgrade, other protocol, after one that did not restart the agent"
repack other 99.3-1 other_protocol
install_package /other.deb
check "the agent was restarted" test "$(agent_pid)" != "$agent"
check "and runs" within 10 is_active maglev-dpagent

echo "== a stopped and disabled brain stays so"
inside systemctl disable --now --quiet maglev-brain-grpc.socket maglev-brain-metrics.socket maglev-brain.service 2>/dev/null
repack again 99.4-1 true
install_package /again.deb
check "the brain is stopped" test "$(show maglev-brain ActiveState)" = inactive
check "and disabled" inside sh -c '! systemctl is-enabled --quiet maglev-brain.service'
inside systemctl enable --now --quiet maglev-brain.service maglev-brain-grpc.socket maglev-brain-metrics.socket

echo "== remove, install again, purge"
inside dpkg --remove maglev 2>&1 | sed 's/^/    /'
check "nothing of it runs" inside sh -c '! grep -hx -e maglev-brain -e maglev-dpagent /proc/[0-9]*/comm 2>/dev/null'
check "configuration and state are kept" test -e "$root/etc/maglev/policy.yaml" -a -e "$root/var/lib/maglev"
check "VPP was left alone" is_active vppsim
install_package /maglev.deb
check "all of it runs again" within 10 is_active maglev-dpagent maglev-brain maglev-brain-grpc.socket
inside dpkg --purge maglev maglev-client 2>&1 | sed 's/^/    /'
rm -r "$root"/etc/systemd/system/maglev-*.service.d
left=$(find "$root/etc" "$root/usr" "$root/var" "$root/run" -name '*maglev*' -not -path '*/journal/*' 2>/dev/null || true)
check "no file of it is left $left" test -z "$left"
check "its users are kept" inside getent passwd maglev-brain maglev-dpagent
check "purging once more does nothing" inside dpkg --purge maglev

exit $failed
