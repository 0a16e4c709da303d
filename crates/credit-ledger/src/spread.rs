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
pub fn spread(amount: u128, weights: &[u128]) -> Vec<u128> {
    let mut spreader = Spreader::default();
    spreader.spread(amount, weights);
    spreader.parts
}

/// Splits one amount after the other in the same memory.
#[derive(Debug, Default)]
pub(crate) struct Spreader {
    parts: Vec<u128>,
    remainders: Vec<(u128, usize)>,
}

impl Spreader {
    /// As [`spread`].
    #[expect(clippy::arithmetic_side_effects, reason = "products fit by the guard; total is not zero; parts <= amount")]
    pub(crate) fn spread(&mut self, amount: u128, weights: &[u128]) -> &[u128] {
        let Self { parts, remainders } = self;
        parts.clear();
        remainders.clear();
        let total = weights.iter().try_fold(0_u128, |sum, weight| sum.checked_add(*weight));
        let largest = weights.iter().max().copied().unwrap_or(0);
        match total.filter(|_| amount.checked_mul(largest).is_some()) {
            Some(0) => parts.resize(weights.len(), 0),
            Some(total) => {
                for (index, weight) in weights.iter().enumerate() {
                    let product = amount * weight;
                    let quotient = product / total;
                    parts.push(quotient);
                    remainders.push((product - quotient * total, index));
                }
                give_missing(amount, parts, remainders);
            }
            None => spread_wide(amount, weights, parts),
        }
        parts
    }
}

/// For products that `u128` does not hold.
#[expect(clippy::arithmetic_side_effects, reason = "products of u128 fit U256; total is not zero")]
fn spread_wide(amount: u128, weights: &[u128], parts: &mut Vec<u128>) {
    let total: U256 = weights.iter().map(|weight| U256::from(*weight)).sum();
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let product = U256::from(amount) * U256::from(*weight);
        let quotient = product / total;
        parts.push(quotient.as_u128()); // at most `amount`, as weight <= total
        remainders.push((product - quotient * total, index));
    }
    give_missing(amount, parts, &mut remainders);
}

/// One unit more for the largest remainders, ties to the earlier part, until the parts sum to `amount`.
#[expect(clippy::arithmetic_side_effects, reason = "parts sum to at most amount")]
fn give_missing<R: Ord>(amount: u128, parts: &mut [u128], remainders: &mut [(R, usize)]) {
    // Fewer units are missing than there are weights with a remainder.
    let missing = usize::try_from(amount - parts.iter().sum::<u128>()).unwrap_or(usize::MAX);
    if (1..remainders.len()).contains(&missing) {
        remainders
            .select_nth_unstable_by(missing, |left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    }
    for (_, index) in remainders.iter().take(missing) {
        if let Some(part) = parts.get_mut(*index) {
            *part += 1;
        }
    }
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
    fn wide_products_are_split_as_narrow_ones() {
        let weights: Vec<u128> = (1..200).map(|number| number * number * 7_919 % 10_007).collect();
        for amount in [1, 2, 99, 5_000, 123_456_789] {
            let mut wide = Vec::new();
            spread_wide(amount, &weights, &mut wide);
            assert_eq!(spread(amount, &weights), wide, "{amount}");
        }
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
