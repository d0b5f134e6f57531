use proptest::prelude::*;

use super::*;

/// What a browser does with a patch.
fn apply(replica: &mut BTreeMap<(Table, String), Document>, patch: Patch) {
    for (table, rows) in patch {
        for (key, change) in rows {
            let key = (table, key.to_string());
            match change {
                None => assert!(replica.remove(&key).is_some(), "a row is removed that was never told"),
                Some(fields) => {
                    let row = replica.entry(key).or_default();
                    row.extend(fields);
                    row.retain(|_, value| !value.is_null());
                }
            }
        }
    }
}

fn all(documents: &Documents) -> BTreeMap<(Table, String), Document> {
    let rows = documents.rows().into_iter();
    rows.flat_map(|(table, rows)| {
        rows.into_iter().map(move |(key, row)| ((table, key.to_string()), Document::clone(&row)))
    })
    .collect()
}

#[derive(Debug, Clone)]
enum Step {
    Put(Table, u8, Option<Document>),
    Tell,
}

fn step() -> impl Strategy<Value = Step> {
    let table = prop_oneof![Just(Table::Fleet), Just(Table::Members)];
    let value = prop_oneof![Just(Value::Null), (0..3_u8).prop_map(Value::from)];
    let fields = prop::collection::btree_map("[abc]", value, 0..3);
    let document = fields.prop_map(|fields| fields.into_iter().collect::<Document>());
    prop_oneof![
        4 => (table, 0..3_u8, prop::option::of(document)).prop_map(|(t, k, d)| Step::Put(t, k, d)),
        1 => Just(Step::Tell),
    ]
}

proptest! {
    #[test]
    fn a_browser_that_merges_every_patch_has_what_the_server_has(steps in prop::collection::vec(step(), 0..60)) {
        let (mut documents, mut replica) = (Documents::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Put(table, key, document) => documents.put(table, &key.to_string(), document),
                Step::Tell => {
                    apply(&mut replica, documents.take_patch());
                    prop_assert_eq!(&replica, &all(&documents));
                }
            }
        }
        apply(&mut replica, documents.take_patch());
        prop_assert_eq!(replica, all(&documents));
        prop_assert!(documents.take_patch().is_empty());
    }
}

#[test]
fn one_changed_field_is_all_that_is_told() {
    let mut documents = Documents::default();
    let row = |weight: u8| crate::rows::object(serde_json::json!({ "name": "web1", "weight": weight }));
    documents.put(Table::Members, "k", Some(row(100)));
    documents.take_patch();
    documents.put(Table::Members, "k", Some(row(40)));
    assert_eq!(serde_json::to_string(&documents.take_patch()).unwrap(), r#"{"members":{"k":{"weight":40}}}"#);
    documents.put(Table::Members, "k", Some(row(50)));
    documents.put(Table::Members, "k", Some(row(40)));
    assert!(documents.take_patch().is_empty(), "there and back is told");
}
