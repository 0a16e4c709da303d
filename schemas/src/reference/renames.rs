//! `renames.csv`: nodes that have another name or place now, from a billing period on or from the beginning.
//!
//! A rename takes along everything below its node. Renames without a period count first: their old names mean the new
//! ones wherever they stand. Those with a period follow, oldest first.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Node};

use super::csv_file::{CsvFile, Problem, Problems, Row};

/// One file of renames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Renames {
    always: Step,
    dated: BTreeMap<BillingPeriod, Step>,
}

/// Renames that count from one period on: old node to new node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Step(BTreeMap<Node, Node>);

impl Step {
    /// The node after the rename of the nearest node at or above it; none where nothing is renamed.
    fn once(&self, node: &Node) -> Option<Node> {
        let nearest = node.lineage().filter_map(|above| self.0.get_key_value(&above)).last();
        nearest.and_then(|(old, new)| node.rebased(old, new))
    }

    /// The node after all renames of the step, one after the other.
    fn apply(&self, node: Node) -> Node {
        // Without cycles each rename counts once at most.
        (0..self.0.len()).try_fold(node, |node, _| self.once(&node).ok_or(node)).unwrap_or_else(|last| last)
    }

    fn is_cyclic(&self, old: &Node) -> bool {
        self.once(&self.apply(old.clone())).is_some()
    }
}

impl Renames {
    /// True if nothing is renamed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.always.0.is_empty() && self.dated.is_empty()
    }

    /// What a name means, whichever month it stands for.
    #[must_use]
    pub fn meant(&self, node: &Node) -> Node {
        self.always.apply(node.clone())
    }

    /// What a node is in a period: earlier periods keep the names that are replaced from a later one on.
    #[must_use]
    pub fn current(&self, node: &Node, period: BillingPeriod) -> Node {
        self.after(node, |from| from <= period)
    }

    /// What a node is in the end, after all renames.
    #[must_use]
    pub fn latest(&self, node: &Node) -> Node {
        self.after(node, |_| true)
    }

    fn after(&self, node: &Node, counts: impl Fn(BillingPeriod) -> bool) -> Node {
        let steps = self.dated.iter().filter(|(from, _)| counts(**from));
        steps.fold(self.meant(node), |node, (_, step)| step.apply(node))
    }

    /// The periods from which on nodes have other names, oldest first.
    pub fn periods(&self) -> impl Iterator<Item = BillingPeriod> + '_ {
        self.dated.keys().copied()
    }

    /// The old nodes that stay valid for earlier periods.
    pub fn former_nodes(&self) -> impl Iterator<Item = &Node> {
        self.dated.values().flat_map(|step| step.0.keys())
    }

    /// Nodes that change their name, and the names: of all renames, in the order in which they count.
    pub(super) fn steps(&self) -> impl Iterator<Item = (Option<BillingPeriod>, &BTreeMap<Node, Node>)> {
        let dated = self.dated.iter().map(|(from, step)| (Some(*from), &step.0));
        std::iter::once((None, &self.always.0)).chain(dated)
    }

    fn step(&mut self, from: Option<BillingPeriod>) -> &mut Step {
        match from {
            None => &mut self.always,
            Some(from) => self.dated.entry(from).or_default(),
        }
    }
}

const OLD_LEVELS: [&str; 4] = ["old_business_unit", "old_department", "old_portfolio", "old_product"];

/// Reads `renames.csv` and checks it against the nodes of `hierarchy.csv`.
///
/// # Errors
/// All [`Problems`] of the file: new nodes that are not in the hierarchy, a node that is renamed twice, names that go
/// round in a circle, nodes that would be more than four levels deep.
pub fn parse_renames(file: &str, bytes: &[u8], nodes: &BTreeSet<&Node>) -> Result<Renames, Problems> {
    let levels = [&OLD_LEVELS[1..], &["from_period"], &Node::LEVELS[1..]].concat();
    let csv = CsvFile::parse(file, bytes, &[OLD_LEVELS[0], Node::LEVELS[0]], &levels)?;
    let (mut problems, mut rows) = (Problems::default(), Vec::new());
    for row in csv.rows() {
        match rename(&row, nodes) {
            Ok(rename) => rows.push((row, rename)),
            Err(problem) => problems.0.push(problem),
        }
    }
    // Those that always count come first: dated ones may name their nodes either way.
    rows.sort_by_key(|(_, Rename { from, .. })| from.is_some());
    let mut renames = Renames::default();
    for (row, Rename { from, old, new }) in &rows {
        let (old, new) = from.map_or((old.clone(), new.clone()), |_| (renames.meant(old), renames.meant(new)));
        if renames.step(*from).0.insert(old, new).is_some() {
            problems.0.push(row.problem(OLD_LEVELS[0], "the node is renamed in an earlier row, for the same months"));
        }
    }
    problems.0.extend(rows.iter().filter_map(|(row, rename)| problem_of(row, rename, &renames, nodes)));
    csv.or(problems, renames)
}

/// One row.
struct Rename {
    from: Option<BillingPeriod>,
    old: Node,
    new: Node,
}

fn rename(row: &Row<'_>, nodes: &BTreeSet<&Node>) -> Result<Rename, Problem> {
    let from: Option<BillingPeriod> = row.parse("from_period")?;
    let from = from.map(BillingPeriod::within_years).transpose();
    let from = from.map_err(|wrong| row.problem("from_period", format!("{wrong}; empty: in every month")))?;
    let old = row.node_at(OLD_LEVELS)?.ok_or_else(|| row.problem(OLD_LEVELS[0], "is empty"))?;
    let new = row.node()?.ok_or_else(|| row.problem(Node::LEVELS[0], "is empty"))?;
    if [&old, &new].iter().any(|node| node.business_unit() == Node::UNASSIGNED) {
        return Err(row.problem("", "Unassigned is kept for spend that no rule matches"));
    }
    if new.is_at_or_below(&old) {
        return Err(row.problem(Node::LEVELS[0], format!("{new} lies at or below {old}; name another node")));
    }
    let mut below = nodes.iter().filter(|node| node.is_at_or_below(&old));
    if let Some(deep) = below.find(|node| node.rebased(&old, &new).is_none()) {
        return Err(row.problem(Node::LEVELS[0], format!("{deep} would lie below {new} at more than four levels")));
    }
    Ok(Rename { from, old, new })
}

/// What is wrong with a rename beside the others.
fn problem_of(row: &Row<'_>, rename: &Rename, renames: &Renames, nodes: &BTreeSet<&Node>) -> Option<Problem> {
    let Rename { from, old, new } = rename;
    let step = from.map_or(Some(&renames.always), |from| renames.dated.get(&from))?;
    let start = if from.is_some() { renames.meant(old) } else { old.clone() };
    if step.is_cyclic(&start) {
        return Some(row.problem(OLD_LEVELS[0], format!("the renames of {old} go round in a circle")));
    }
    let becomes = renames.latest(new);
    if !nodes.contains(&becomes) {
        return Some(row.problem(Node::LEVELS[0], format!("node {becomes} is not in hierarchy.csv")));
    }
    let from = (*from)?;
    let before = renames.after(&start, |period| period < from);
    let message = format!("{start} is {before} before {from} already: write that as the old node");
    (before != start).then(|| row.problem(OLD_LEVELS[0], message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::parse_hierarchy;

    const HEADER: &str = "from_period,old_business_unit,old_department,old_portfolio,old_product,business_unit,\
                          department,portfolio,product\n";

    fn parse(rows: &str) -> Result<Renames, Problems> {
        let nodes = "business_unit,department,portfolio,product\nA,x,y,z\nB,,,\nC,x,,\nD,E,,\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", nodes.as_bytes()).unwrap();
        let nodes = hierarchy.nodes().map(|(node, _)| node).collect();
        parse_renames("renames.csv", format!("{HEADER}{rows}").as_bytes(), &nodes)
    }

    fn node(path: &str) -> Node {
        let mut names = path.split('/');
        Node::from_levels(std::array::from_fn(|_| names.next())).unwrap()
    }

    fn in_period(renames: &Renames, path: &str, period: &str) -> String {
        renames.current(&node(path), period.parse().unwrap()).to_string()
    }

    #[test]
    fn an_old_name_means_the_new_one_in_every_month_and_so_does_what_is_below() {
        let renames = parse(",Oldest,,,,Old,,,\n,Old,,,,B,,,\n,Old,Web,,,C,x,,\n").unwrap();
        for (path, expected) in [("Old", "B"), ("Oldest/q/r", "B/q/r"), ("Old/Web/q", "C/x/q"), ("Older", "Older")] {
            assert_eq!(renames.meant(&node(path)).to_string(), expected);
            assert_eq!(in_period(&renames, path, "2020-01"), expected);
        }
    }

    #[test]
    fn dated_renames_leave_earlier_months_and_chains_are_followed() {
        let renames = parse("2026-06,B,,,,C,,,\n2026-03,A,,,,B,,,\n,Old,,,,A,,,\n").unwrap();
        let found = ["2026-02", "2026-03", "2026-05", "2026-06"].map(|period| in_period(&renames, "Old/x", period));
        assert_eq!(found, ["A/x", "B/x", "B/x", "C/x"]);
        assert_eq!(renames.latest(&node("A")).to_string(), "C");
        let back = parse("2026-03,A,,,,B,,,\n2026-06,B,,,,A,,,\n").unwrap();
        let found = ["2026-02", "2026-03", "2026-06"].map(|period| in_period(&back, "A", period));
        assert_eq!(found, ["A", "B", "A"], "and back again");
        let of_one_day = parse("2026-03,A,,,,B,,,\n2026-03,B,,,,C,,,\n").unwrap();
        assert_eq!(in_period(&of_one_day, "A/q", "2026-03"), "C/q");
    }

    #[test]
    fn bad_rows_are_all_named() {
        let rows = "2026-13,B,,,,C,,,\n,,,,,B,,,\n,B,,,,,,,\n,B,,,,B,x,,\n,Unassigned,,,,B,,,\n,B,,x,,C,,,\n,A,,,,D,E,,\n\
                    ,Q,,,,R,,,\n2026-03,B,,,,C,x,,\n2026-03,B,,,,A,,,\n,C,,,,D,,,\n,D,,,,C,,,\n2026-04,B,,,,A,x,,\n";
        let expected = "renames.csv, row 2, column from_period: \"2026-13\" is not a billing period (YYYY-MM)\n\
             renames.csv, row 3, column old_business_unit: is empty\n\
             renames.csv, row 4, column business_unit: is empty\n\
             renames.csv, row 5, column business_unit: B/x lies at or below B; name another node\n\
             renames.csv, row 6: Unassigned is kept for spend that no rule matches\n\
             renames.csv, row 7, column old_business_unit: portfolio is set but department is empty\n\
             renames.csv, row 8, column business_unit: A/x/y/z would lie below D/E at more than four levels\n\
             renames.csv, row 9, column business_unit: node R is not in hierarchy.csv\n\
             renames.csv, row 10, column business_unit: node D/x is not in hierarchy.csv\n\
             renames.csv, row 11, column old_business_unit: the node is renamed in an earlier row, for the same months\n\
             renames.csv, row 12, column old_business_unit: the renames of C go round in a circle\n\
             renames.csv, row 13, column old_business_unit: the renames of D go round in a circle\n\
             renames.csv, row 14, column old_business_unit: B is A before 2026-04 already: write that as the old node";
        assert_eq!(parse(rows).unwrap_err().to_string(), expected);
    }

    #[test]
    fn months_of_renames_and_the_nodes_that_stay_valid_before_them_are_known() {
        let renames = parse("2026-06,B,,,,C,,,\n2026-03,Old,x,,,B,,,\n,Old,,,,A,,,\n").unwrap();
        assert_eq!(renames.periods().map(|period| period.to_string()).collect::<Vec<_>>(), ["2026-03", "2026-06"]);
        let former = renames.former_nodes().map(ToString::to_string);
        assert_eq!(former.collect::<Vec<_>>(), ["A/x", "B"], "by the names that always count");
        assert!(!renames.is_empty() && parse("").unwrap().is_empty());
    }

    #[test]
    fn a_department_that_leaves_takes_its_own_along_and_what_stays_goes_with_the_rest() {
        let renames = parse("2026-03,A,x,,,C,x,,\n2026-03,A,,,,B,,,\n").unwrap();
        for (path, before, after) in [
            ("A", "A", "B"),
            ("A/w", "A/w", "B/w"),
            ("A/x", "A/x", "C/x"),
            ("A/x/y/z", "A/x/y/z", "C/x/y/z"),
            ("A/xy", "A/xy", "B/xy"),
            ("C/x", "C/x", "C/x"),
        ] {
            assert_eq!(in_period(&renames, path, "2026-02"), before);
            assert_eq!(in_period(&renames, path, "2026-03"), after);
            assert_eq!(renames.meant(&node(path)).to_string(), path, "no name is given up");
        }
    }

    #[test]
    fn rows_that_say_two_things_of_one_node_or_lie_beyond_all_years_are_named() {
        let rows = "0026-03,B,,,,C,,,\n2101-01,B,,,,C,,,\n,Old,,,,B,,,\n,Old,,,,C,,,\n,Older,,,,Old,,,\n2026-03,Older,,,,B,,,\n";
        let expected = "renames.csv, row 2, column from_period: 0026-03 is not in the years 2006 to 2100; empty: in every month\n\
             renames.csv, row 3, column from_period: 2101-01 is not in the years 2006 to 2100; empty: in every month\n\
             renames.csv, row 5, column old_business_unit: the node is renamed in an earlier row, for the same months";
        assert_eq!(parse(rows).unwrap_err().to_string(), expected, "rows that are well are not spoken of");
    }
}
