//! Whether a difference between expected and observed shares is chance. Pure.

use statrs::function::gamma::checked_gamma_ur;

/// Answers that a cell must expect for the test's approximation to hold; those that expect fewer are put together.
const LEAST_EXPECTED: f64 = 5.0;

/// Pearson's chi-square test: the probability of a difference at least as large as this one, if every answer goes to a
/// random bucket. Each row is a server's answers and its buckets, more than 0. `None` with too few answers, or fewer
/// than two servers, to tell.
pub fn p_value(rows: &[(u64, u32)]) -> Option<f64> {
    let answers: f64 = rows.iter().map(|(seen, _)| number(*seen)).sum();
    let buckets: f64 = rows.iter().map(|(_, buckets)| f64::from(*buckets)).sum();
    let mut small = (0.0, 0.0);
    let mut cells = Vec::new();
    for (seen, share) in rows {
        let expected = answers * f64::from(*share) / buckets;
        if expected < LEAST_EXPECTED {
            small = (small.0 + number(*seen), small.1 + expected);
        } else {
            cells.push((number(*seen), expected));
        }
    }
    if small.1 >= LEAST_EXPECTED {
        cells.push(small);
    } else if let Some(last) = cells.last_mut() {
        *last = (last.0 + small.0, last.1 + small.1);
    }
    let freedom = u32::try_from(cells.len()).ok()?.checked_sub(1).filter(|freedom| *freedom > 0)?;
    let statistic: f64 = cells.iter().map(|(seen, expected)| (seen - expected).powi(2) / expected).sum();
    if statistic <= 0.0 {
        return Some(1.0);
    }
    checked_gamma_ur(f64::from(freedom) / 2.0, statistic / 2.0).ok()
}

/// A count; above 2^53, which no run reaches, neighbours become the same.
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_tables() {
        // The critical value for 5 % with one degree of freedom is 3.841; this difference makes 3.844.
        let off = 31;
        let p = p_value(&[(500 + off, 1), (500 - off, 1)]).unwrap();
        assert!((p - 0.05).abs() < 0.002, "{p}");
        assert!(p_value(&[(500, 1), (500, 1)]).unwrap() > 0.999);
        assert!(p_value(&[(900, 1), (100, 1)]).unwrap() < 1e-9);
        let p = p_value(&[(300, 1), (300, 1), (300, 1)]).unwrap();
        assert!((p - 1.0).abs() < 1e-9, "{p}");
    }

    #[test]
    fn weights_count_and_small_cells_are_put_together() {
        assert!(p_value(&[(400, 410), (400, 410), (200, 204)]).unwrap() > 0.5);
        assert!(p_value(&[(990, 990), (4, 4), (6, 6)]).unwrap() > 0.9);
        assert_eq!(p_value(&[(3, 1), (1, 1)]), None, "too few answers");
        assert_eq!(p_value(&[(1000, 1)]), None, "one server gets everything");
        assert_eq!(p_value(&[]), None);
    }

    /// Random answers are rarely called more than chance, and skewed ones are found.
    #[test]
    fn random_answers_are_chance_and_skewed_ones_are_not() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut suspected = 0;
        for _ in 0..400 {
            let mut seen = [0; 3];
            for _ in 0..1000 {
                seen[[0, 0, 1, 1, 2][random.usize(..5)]] += 1;
            }
            let p = p_value(&[(seen[0], 2), (seen[1], 2), (seen[2], 1)]).unwrap();
            suspected += u32::from(p < 0.01);
            assert!(p_value(&[(seen[2], 2), (seen[1], 2), (seen[0], 1)]).unwrap() < 1e-6);
        }
        assert!(suspected <= 12, "{suspected} of 400 at a level of 1 %");
    }
}
