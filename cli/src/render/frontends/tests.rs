use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples::{self, NOW};

fn listed(frontends: Vec<Frontend>, palette: Palette) -> String {
    let list = ListFrontendsResponse { frontends, ..ListFrontendsResponse::default() };
    super::list(&list, Moment(NOW), palette)
}

#[test]
fn list_lines_up_with_long_names_and_addresses() {
    let expected = "\
Name                     State    In VPP     VIP                                   Service  Active pool  Pool up
mail                     down     pending    203.0.113.30                          tcp/25   -                0/1
legacy                   healthy  no         203.0.113.20                          any      only             1/1
dns-anycast-resolver-v6  unknown  held back  2001:db8:ffff:ffff:ffff:ffff:ffff:53  udp/53   -                0/1
shop                     up       yes        203.0.113.10                          tcp/443  primary          2/3
";
    assert_eq!(listed(samples::frontends(), PLAIN), expected);
}

#[test]
fn routes_have_a_column_once_a_frontend_is_announced() {
    let mut frontends = samples::frontends();
    let shop = frontends.iter_mut().find(|frontend| frontend.name == "shop").unwrap();
    shop.announcement_reason = "enough backends can serve".into();
    shop.announcement = maglev_proto::Announcement::Announced.into();
    let text = listed(frontends, PLAIN);
    let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
    assert!(first.ends_with("Pool up  Route") && last.ends_with("2/3  announced"), "{text}");
    assert!(text.contains("0/1  -\n"), "{text}");
}

#[test]
fn list_is_colored_outside_the_padding() {
    let text = listed(samples::frontends().split_off(2), COLORED);
    let mail =
        "mail  \x1b[31mdown\x1b[0m   \x1b[33mpending\x1b[0m  203.0.113.30  tcp/25   \x1b[2m-\x1b[0m     ";
    assert!(text.contains(mail), "{text:?}");
    let shop = "shop  \x1b[32mup\x1b[0m     \x1b[32myes\x1b[0m      203.0.113.10";
    assert!(text.contains(shop), "{text:?}");
}

#[test]
fn nothing_configured_is_said() {
    assert_eq!(listed(Vec::new(), PLAIN), "No frontends.\n");
}

#[test]
fn spares_are_no_measure_of_the_pool_that_serves() {
    let mut shop = samples::shop();
    assert_eq!(pool_up(&shop), Cell::toned("2/3", Tone::Warning));
    shop.active_pool = "fallback".into();
    assert_eq!(pool_up(&shop), Cell::toned("1/1", Tone::Plain));
}

#[test]
fn up_is_only_what_vpp_has() {
    let shop = |sync: SyncState| Frontend { sync: sync.into(), ..samples::shop() };
    for (sync, state, word, tone) in [
        (SyncState::Synced, "up", "yes", Tone::Good),
        (SyncState::Pending, "healthy", "pending", Tone::Warning),
        (SyncState::HeldBack, "healthy", "held back", Tone::Warning),
        (SyncState::Failed, "healthy", "no", Tone::Bad),
        (SyncState::Disconnected, "healthy", "no", Tone::Bad),
    ] {
        assert_eq!(in_force(&shop(sync)), Cell::toned(state, tone));
        assert_eq!(in_vpp(&shop(sync)), Cell::toned(word, tone));
    }
    let down = Frontend { state: FrontendState::Down.into(), ..shop(SyncState::Synced) };
    assert_eq!((in_force(&down), in_vpp(&down)), (Cell::toned("down", Tone::Bad), Cell::new("yes")));
}

#[test]
fn weights_tell_what_vpp_has_and_what_it_should_have() {
    let row = PoolBackend {
        vpp_weight: Some(1),
        buckets: Some(256),
        ..samples::shop().pools[0].backends[1].clone()
    };
    let in_vpp = |row: &PoolBackend, synced| weights(row, synced)[3].clone();
    assert_eq!(in_vpp(&row, false), Cell::toned("1 -> 0", Tone::Bad));
    assert_eq!(in_vpp(&row, true), Cell::number(0u32));
    assert_eq!(buckets_of(&row, false), Cell::number(256u32), "weight 1 has buckets");
    assert_eq!(buckets_of(&row, true), Cell::toned("256*", Tone::Warning), "weight 0 has none");
    let unknown = PoolBackend { vpp_weight: None, ..row };
    assert_eq!(in_vpp(&unknown, false), Cell::toned("? -> 0", Tone::Warning));
    let mut shop = samples::shop();
    shop.pools[0].backends[1].buckets = Some(256);
    assert!(one(&shop, PLAIN).contains("  * contradicts the weight: "));
}

#[test]
fn one_shows_every_weight_of_every_pool() {
    let expected = "\
Frontend       shop
Description    The web shop
VIP            203.0.113.10 tcp/443
State          up
Active pool    primary
In VPP         yes
Src-IP sticky  no
Flush on down  yes
Table length   1024 buckets; re-created, the VIP would have 4096
VPP's figures  1s old

Pool primary (active)
  Backend  Address   State  Configured  Override  Effective  In VPP  Buckets   Share  Flows
  web1     10.0.0.1  up            100         -        100       2      683  66.70%   1204
  web2     10.0.0.2  down          100         -          0       0        0   0.00%     17
  web3     10.0.0.3  up            100        50         50       1      341  33.30%    633

Pool fallback
  Backend  Address   State  Configured  Override  Effective  In VPP  Buckets  Share  Flows
  sorry    10.0.9.1  up            100         -          0       0        0  0.00%      0
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
In VPP         no: held back by the warm-up until every backend is known
Src-IP sticky  no
Flush on down  no
Table length   1024 buckets

Pool resolvers
  Backend  Address        State    Configured  Override  Effective  In VPP  Buckets  Share  Flows
  res1     2001:db8::a:1  unknown         100         -          0  ? -> 0        -      -      -

Buckets and flows are not known
";
    assert_eq!(one(&samples::frontends()[0], PLAIN), expected);
}

#[test]
fn one_that_failed_says_why() {
    let text = one(&samples::frontends()[1], COLORED);
    assert!(text.contains("State\x1b[0m          \x1b[31mhealthy\x1b[0m\n"), "{text:?}");
    let reason = "In VPP\x1b[0m         \x1b[31mno: VPP refused to add the VIP: another port of this prefix";
    assert!(text.contains(reason), "{text:?}");
    let unknown = "\n\n\x1b[33mBuckets and flows are not known: VPP does not have this VIP\x1b[0m\n";
    assert!(text.ends_with(unknown), "{text:?}");
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
    let line = listed(vec![shop], PLAIN);
    assert!(line.contains("  primary (panic) "), "{line}");
}

#[test]
fn min_up_is_shown_beside_what_is_up() {
    let mut shop = samples::shop();
    let (up, total) = (shop.pools[0].up, shop.pools[0].backends.len());
    (shop.pools[0].min_up, shop.pools[0].below_min_up) = (Some(3), true);
    let heading = format!("Pool primary (active)\x1b[0m: \x1b[31m{up} of {total} up, min-up 3\x1b[0m\n");
    assert!(one(&shop, COLORED).contains(&heading), "{:?}", one(&shop, COLORED));
    let line = listed(vec![shop], COLORED);
    assert!(line.contains(&format!("\x1b[31m{up}/{total}, min-up 3\x1b[0m")), "{line:?}");
}

#[test]
fn slow_start_is_shown_if_there_is_one() {
    let shop = Frontend { slow_start_ms: 90_000, ..samples::shop() };
    assert!(one(&shop, PLAIN).contains("\nSlow start     1m 30s\n"));
}

#[test]
fn limits_of_vpp_stand_in_place_of_the_error_of_shares() {
    let inexpressible = "this VPP cannot express 100:50; shares are equal, up to 33% off the weights";
    let shop =
        Frontend { worst_share_error_percent: 33.3, inexpressible: inexpressible.into(), ..samples::shop() };
    let text = one(&shop, PLAIN);
    assert!(text.contains(&format!("\nVPP's limits   {inexpressible}\n")), "{text}");
    assert!(!text.contains("Shares"));
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
