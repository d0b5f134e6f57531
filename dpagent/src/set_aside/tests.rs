use super::*;

fn key(port: u16) -> VipKey {
    VipKey::port([192, 0, 2, 1].into(), 6, port)
}

#[test]
fn each_thing_is_told_once_and_again_when_it_changes() {
    let mut first = SetAside::default();
    first.vip(key(80), "one reason");
    first.other("servers of a VIP".to_owned());
    let told = ["VIP 192.0.2.1 tcp/80: one reason", "servers of a VIP"];
    assert_eq!(first.lines_beyond(&SetAside::default()), told);
    assert_eq!(first.lines_beyond(&first.clone()), Vec::<String>::new());
    let mut second = first.clone();
    second.vip(key(80), "another reason");
    assert_eq!(second.lines_beyond(&first), ["VIP 192.0.2.1 tcp/80: another reason"]);
    assert_eq!(SetAside::default().lines_beyond(&second), Vec::<String>::new());
}

#[test]
fn a_disguise_blocks_both_keys_and_others_of_the_prefix_are_found() {
    let prefix = Prefix { address: "::".parse().unwrap(), length: 8 };
    let shown = VipKey { prefix: Prefix { address: [0, 0, 0, 0].into(), length: 8 }, ..key(80) };
    let mut set_aside = SetAside::default();
    set_aside.disguised(VipKey { prefix, ..key(80) }, shown);
    let reason = "VIP ::/8 tcp/80 of VPP was set aside: VPP dumps it as 0.0.0.0/8 tcp/80";
    assert_eq!(set_aside.blocks(&shown).as_deref(), Some(reason));
    assert_eq!(set_aside.blocks(&VipKey { prefix, ..key(80) }).as_deref(), Some(reason));
    assert_eq!(set_aside.blocks(&VipKey { port: 81, ..shown }), None);
    assert_eq!(set_aside.of_prefix(prefix).map(|key| key.port), Some(80));
    assert_eq!(set_aside.of_prefix(shown.prefix), None);
    assert_eq!(set_aside.vips().count(), 1);
}
