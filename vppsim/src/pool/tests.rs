use super::Pool;

#[test]
fn the_index_freed_last_is_given_out_first() {
    let mut pool = Pool::starting_at(1);
    assert_eq!([pool.insert('a'), pool.insert('b'), pool.insert('c')], [1, 2, 3]);
    assert_eq!(
        (pool.remove(1), pool.remove(3), pool.remove(3), pool.remove(0)),
        (Some('a'), Some('c'), None, None)
    );
    assert_eq!(pool.len(), 1);
    assert_eq!([pool.insert('d'), pool.insert('e'), pool.insert('f')], [3, 1, 4]);
    assert_eq!(
        pool.iter().map(|(index, name)| (index, *name)).collect::<Vec<_>>(),
        [(1, 'e'), (2, 'b'), (3, 'd'), (4, 'f')]
    );
    assert_eq!((pool.get(0), pool.get(2), pool.get(9)), (None, Some(&'b'), None));
}
