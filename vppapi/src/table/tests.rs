use super::{Lookup, MessageTable};

fn table() -> MessageTable {
    let entries =
        [(89, "lb_conf_56cd3261"), (93, "lb_add_del_vip_6fa569c7"), (95, "lb_add_del_vip_v2_7c520e0f")];
    MessageTable::new(entries.map(|(id, name)| (id, name.to_owned())))
}

#[test]
fn ids_and_names_are_found_both_ways() {
    let table = table();
    assert_eq!((table.len(), table.is_empty()), (3, false));
    assert_eq!(table.id("lb_conf_56cd3261"), Some(89));
    assert_eq!(table.name_crc(95), Some("lb_add_del_vip_v2_7c520e0f"));
    assert_eq!((table.id("lb_conf"), table.name_crc(1)), (None, None));
}

#[test]
fn another_crc_is_told_from_an_absent_name() {
    let table = table();
    assert_eq!(table.find("lb_conf_56cd3261"), Lookup::Found(89));
    assert_eq!(table.find("lb_conf_00000000"), Lookup::OtherCrc("lb_conf_56cd3261"));
    assert_eq!(table.find("lb_add_del_00000000"), Lookup::Absent);
    assert_eq!(table.find("nothing"), Lookup::Absent);
}

#[test]
fn what_is_missing_is_named_with_what_is_there_instead() {
    let missing = table().missing(&["lb_conf_00000000", "lb_conf_56cd3261", "lb_as_set_weight_2d89bdbd"]);
    assert_eq!(missing, ["lb_conf_00000000 (VPP has lb_conf_56cd3261)", "lb_as_set_weight_2d89bdbd"]);
}
