//! Splitting an amount in proportion, in whole units, by largest remainder.

use ethnum::U256;

/// Splits `amount` over `weights` in proportion: floors first, then one unit more for the largest remainders, ties to
/// the earlier weight. The parts sum to `amount`; where all weights are zero every part is zero.
///
/// Products are 256 bits wide, so no pair of `u128` overflows.
///
/// ```
/// // 10 over 50, 30, 20: exact; 3 over 50, 25, 25: 1.5, .75, .75 -> 1, 1, 1
/// assert_eq!(credit_ledger::spread(10, &[50, 30, 20]), [5, 3, 2]);
/// assert_eq!(credit_ledger::spread(3, &[50, 25, 25]), [1, 1, 1]);
/// ```
#[must_use]
#[expect(clippy::arithmetic_side_effects, reason = "products of u128 fit U256; total is not zero; parts <= amount")]
pub fn spread(amount: u128, weights: &[u128]) -> Vec<u128> {
    let total: U256 = weights.iter().map(|weight| U256::from(*weight)).sum();
    if total == U256::ZERO {
        return vec![0; weights.len()];
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let product = U256::from(amount) * U256::from(*weight);
        let quotient = product / total;
        parts.push(quotient.as_u128()); // at most `amount`, as weight <= total
        remainders.push((product - quotient * total, index));
    }
    let missing = amount - parts.iter().sum::<u128>();
    // Fewer units are missing than there are weights with a remainder.
    remainders.sort_unstable_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
    for (_, index) in remainders.into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX)) {
        if let Some(part) = parts.get_mut(index) {
            *part += 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_remainders_get_the_missing_units() {
        // Of a department's 10 over 50, 30 and 20.01: floors sum to 9.9999999998, remainders .950 .970 .080.
        let parts = spread(100_000_000_000, &[500_000_000_000, 300_000_000_000, 200_100_000_000]);
        assert_eq!(parts, [49_995_000_500, 29_997_000_300, 20_007_999_200]);
    }

    #[test]
    fn equal_remainders_go_to_the_earlier_weight() {
        assert_eq!(spread(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(spread(2, &[1, 1, 1]), [1, 1, 0]);
    }

    #[test]
    fn parts_sum_to_the_whole_for_the_widest_numbers() {
        let parts = spread(u128::MAX, &[u128::MAX, u128::MAX - 1, 7, 0]);
        assert_eq!(parts.iter().try_fold(0_u128, |sum, part| sum.checked_add(*part)), Some(u128::MAX));
        assert_eq!(parts[3], 0);
    }

    #[test]
    fn nothing_to_weigh_by_means_nothing_is_given() {
        assert_eq!(spread(5, &[0, 0]), [0, 0]);
        assert_eq!(spread(5, &[]), [0_u128; 0]);
    }
}
