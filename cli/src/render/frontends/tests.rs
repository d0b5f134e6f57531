use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples;

#[test]
fn list_lines_up_with_long_names_and_addresses() {
    let expected = "\
Name                     VIP                                   Service  State    Active pool  Sync       Up/Total
dns-anycast-resolver-v6  2001:db8:ffff:ffff:ffff:ffff:ffff:53  udp/53   unknown  -            held-back       0/1
legacy                   203.0.113.20                          any      up       only         failed          1/1
mail                     203.0.113.30                          tcp/25   down     -            pending         0/1
shop                     203.0.113.10                          tcp/443  up       primary      synced          3/4
";
    assert_eq!(list(&samples::frontends(), PLAIN), expected);
}

#[test]
fn list_is_colored_outside_the_padding() {
    let expected = "\
\x1b[1mName\x1b[0m  \x1b[1mVIP\x1b[0m           \x1b[1mService\x1b[0m  \x1b[1mState\x1b[0m  \
\x1b[1mActive pool\x1b[0m  \x1b[1mSync\x1b[0m     \x1b[1mUp/Total\x1b[0m
mail  203.0.113.30  tcp/25   \x1b[31mdown\x1b[0m   \x1b[2m-\x1b[0m            \x1b[33mpending\x1b[0m       0/1
shop  203.0.113.10  tcp/443  \x1b[32mup\x1b[0m     primary      \x1b[32msynced\x1b[0m        3/4
";
    assert_eq!(list(&samples::frontends()[2..], COLORED), expected);
}

#[test]
fn nothing_configured_is_said() {
    assert_eq!(list(&[], PLAIN), "No frontends are configured.\n");
}

#[test]
fn backend_in_two_pools_counts_once() {
    let mut shop = samples::shop();
    let again = shop.pools[0].backends[0].clone();
    shop.pools[1].backends.push(again);
    assert_eq!(backends_up(&shop), (3, 4));
}

#[test]
fn one_shows_every_weight_of_every_pool() {
    let expected = "\
Frontend       shop
Description    The web shop
VIP            203.0.113.10 tcp/443
State          up
Active pool    primary
Sync           synced
Src-IP sticky  no
Flush on down  yes
Table length   1024 buckets; the standing VIP keeps them, a new one would have 4096
VPP's figures  1s old

Pool primary (active)
  Backend  Address   State  Configured  Set  Effective  Programmed  Buckets   Share  Flows
  web1     10.0.0.1  up            100    -        100           2      683  66.70%   1204
  web2     10.0.0.2  down          100    -          0           0        0   0.00%     17
  web3     10.0.0.3  up            100   50         50           1      341  33.30%    633

Pool fallback
  Backend  Address   State  Configured  Set  Effective  Programmed  Buckets  Share  Flows
  sorry    10.0.9.1  up            100    -          0           0        0  0.00%      0
";
    assert_eq!(one(&samples::shop(), PLAIN), expected);
}

#[test]
fn one_held_back_says_what_it_waits_for() {
    let expected = "\
Frontend       dns-anycast-resolver-v6
VIP            2001:db8:ffff:ffff:ffff:ffff:ffff:53 udp/53
State          unknown
Active pool    none: no backend takes new flows
Sync           held-back: not sent to VPP until every backend is known
Src-IP sticky  no
Flush on down  no
Table length   1024 buckets

Pool resolvers
  Backend  Address        State    Configured  Set  Effective  Programmed  Buckets  Share  Flows
  res1     2001:db8::a:1  unknown         100    -          0           0        -      -      -

Buckets and flows are not known
";
    assert_eq!(one(&samples::frontends()[0], PLAIN), expected);
}

#[test]
fn one_that_failed_says_why() {
    let expected = "\
\x1b[1mFrontend\x1b[0m       legacy
\x1b[1mVIP\x1b[0m            203.0.113.20 any
\x1b[1mState\x1b[0m          \x1b[32mup\x1b[0m
\x1b[1mActive pool\x1b[0m    only
\x1b[1mSync\x1b[0m           \x1b[31mfailed: making the VIP: VPP refused with -73, \
another port of this prefix has another encap\x1b[0m
\x1b[1mSrc-IP sticky\x1b[0m  no
\x1b[1mFlush on down\x1b[0m  no
\x1b[1mTable length\x1b[0m   1024 buckets

\x1b[1mPool only (active)\x1b[0m
  \x1b[1mBackend\x1b[0m  \x1b[1mAddress\x1b[0m   \x1b[1mState\x1b[0m  \x1b[1mConfigured\x1b[0m  \
\x1b[1mSet\x1b[0m  \x1b[1mEffective\x1b[0m  \x1b[1mProgrammed\x1b[0m  \x1b[1mBuckets\x1b[0m  \x1b[1mShare\x1b[0m  \
\x1b[1mFlows\x1b[0m
  old      10.0.0.9  \x1b[32mup\x1b[0m            100    \x1b[2m-\x1b[0m        100           1        \
\x1b[2m-\x1b[0m      \x1b[2m-\x1b[0m      \x1b[2m-\x1b[0m

\x1b[33mBuckets and flows are not known: VPP does not have this VIP\x1b[0m
";
    assert_eq!(one(&samples::frontends()[1], COLORED), expected);
}

#[test]
fn one_without_pools_or_backends_says_so() {
    let mut shop = samples::shop();
    shop.pools.truncate(1);
    shop.pools[0].backends.clear();
    assert!(one(&shop, PLAIN).ends_with("\n\nPool primary (active)\n  No backends.\n"));
    shop.pools.clear();
    assert!(one(&shop, PLAIN).ends_with("\n\nNo pools.\n"));
}

#[test]
fn panic_is_shown_where_the_active_pool_is() {
    let mut shop = samples::shop();
    (shop.panic_threshold, shop.panic_pool) = (50, "primary".into());
    let text = one(&shop, PLAIN);
    assert!(
        text.contains("\nActive pool    primary, in panic: up or not, its backends take new flows\n"),
        "{text}"
    );
    assert!(text.contains("\nPanic          when less than 50% of a pool is up\n"), "{text}");
    assert!(text.contains("\nPool primary (in panic)\n"), "{text}");
    let line = list(&[shop], PLAIN);
    assert!(line.contains("  primary (panic)  synced"), "{line}");
}

#[test]
fn slow_start_is_shown_if_there_is_one() {
    let shop = Frontend { slow_start_ms: 90_000, ..samples::shop() };
    assert!(one(&shop, PLAIN).contains("\nSlow start     1m 30s\n"));
}

#[test]
fn shares_that_are_off_come_with_what_helps() {
    let shares = |better_table_length| {
        let shop = Frontend { worst_share_error_percent: 1.861, better_table_length, ..samples::shop() };
        let text = one(&shop, PLAIN);
        text.lines().find_map(|line| line.strip_prefix("Shares         ")).unwrap().to_owned()
    };
    assert_eq!(shares(0), "up to 1.86% off the weights; no longer table does better");
    let recreate = "up to 1.86% off the weights; `recreate frontend shop force` gives it a table of 4096";
    assert_eq!(shares(4096), recreate);
    let configure =
        "up to 1.86% off the weights; a table of 8192 buckets does better (new-flows-table-length)";
    assert_eq!(shares(8192), configure);
}
