"""Talks to vppsim with the official client of VPP, as the last test of tests/vpp_papi.rs.

Arguments: the run directory, and a description of the messages (src/api/messages.json). Any failed assertion or
exception ends it with an error.
"""

import ipaddress
import sys
import time

from vpp_papi import VPPApiClient
from vpp_papi.vpp_stats import VPPStats

VIP = {"pfx": "203.0.113.10/32", "protocol": 6, "port": 80}
EVERY_VIP = {"pfx": "0.0.0.0/0", "protocol": 0, "port": 0}
LB_COUNTERS = [
    "packet from existing sessions",
    "first session packet",
    "untracked packet",
    "no server configured",
]


def lb(api):
    assert api.lb_conf(
        ip4_src_address="192.0.2.1",
        ip6_src_address="2001:db8::1",
        sticky_buckets_per_core=65536,
        flow_timeout=40,
    ).retval == 0
    conf = api.lb_conf_get()
    assert conf.ip4_src_address == ipaddress.ip_address("192.0.2.1"), conf
    assert (conf.sticky_buckets_per_core, conf.flow_timeout) == (65536, 40), conf

    assert api.lb_add_del_vip_v2(**VIP, encap=0, new_flows_table_length=1024).retval == 0
    assert api.lb_add_del_vip_v2(**VIP, encap=0, new_flows_table_length=1024).retval == -81
    for last, weight in ((1, 0), (2, 50), (3, 100)):
        assert api.lb_add_del_as_v2(**VIP, as_address=f"10.0.0.{last}", weight=weight).retval == 0
    assert api.lb_as_set_weight(**VIP, as_address="10.9.9.9", weight=1).retval == -6

    (vip,) = api.lb_vip_dump()
    assert str(vip.vip.pfx) == "203.0.113.10/32" and vip.flow_table_length == 1024, vip
    servers = {str(server.app_srv): server for server in api.lb_as_v2_dump(**EVERY_VIP)}
    buckets = [servers[f"10.0.0.{last}"].num_buckets for last in (1, 2, 3)]
    assert buckets == [0, 350, 674], buckets
    assert api.lb_as_v2_dump(**VIP) == [], "an IPv4 prefix finds nothing"

    text = api.cli_inband(cmd="show lb vips verbose")
    assert text.reply.startswith(" ip4-gre4 [1] 203.0.113.10/32\n"), text.reply
    assert api.cli_inband(cmd="show nonsense").retval == -1
    route = api.ip_route_lookup_v2(table_id=0, exact=1, prefix="203.0.113.10/32")
    assert (route.retval, route.route.stats_index, route.route.n_paths) == (0, 8, 1), route
    assert api.lb_flush_vip(**VIP).retval == 0


def stats(path):
    segment = VPPStats(socketname=path)
    segment.connect()
    assert abs(segment["/sys/boottime"] - time.time()) < 3600
    assert segment["/sys/heartbeat"] >= 1
    assert segment["/sys/num_worker_threads"] == 0
    for name in LB_COUNTERS:
        assert segment[name] == [[0, 0]], (name, segment[name])
        assert segment[name][:, 1].sum() == 0
    routes = segment["/net/route/to"]
    assert len(routes) == 1 and len(routes[0]) > 8, routes
    assert routes[0][8]["packets"] == 0
    assert "/sys/vector_rate" in segment.ls("/sys/")
    segment.disconnect()


def main(run_dir, api_file):
    address = f"{run_dir}/api.sock"
    client = VPPApiClient(apifiles=[api_file], server_address=address)
    client.connect("vpp_papi test")
    assert client.api.show_version().version.startswith("26.10-vppsim-")
    assert client.api.control_ping().vpe_pid > 0
    lb(client.api)
    stats(f"{run_dir}/stats.sock")
    client.disconnect()

    # The same, with no description but the one that vppsim itself gives.
    bootstrapped = VPPApiClient(bootstrapapi=True, server_address=address)
    bootstrapped.connect("vpp_papi test")
    assert len(bootstrapped.api.lb_vip_dump()) == 1
    bootstrapped.disconnect()
    print("all done")


if __name__ == "__main__":
    main(*sys.argv[1:])
