use std::collections::HashSet;

use super::*;

#[test]
fn no_token_comes_twice_however_often_the_kernel_is_asked() {
    let mut random = Random::default();
    let draws: Vec<_> = (0..3 * DRAWS + 1).map(|_| random.draw().unwrap()).collect();
    let tokens: HashSet<_> = draws.iter().map(|(_, token)| token).collect();
    assert_eq!(tokens.len(), draws.len());
    assert!(!tokens.contains(&[0; TOKEN_LENGTH]));
    assert_eq!(random.unused.len(), DRAWS - 1);
    // Two of 193 random 32-bit ids are equal once in 230,000 runs.
    let ids: HashSet<_> = draws.iter().map(|(id, _)| id).collect();
    assert!(ids.len() >= draws.len() - 1);
}
