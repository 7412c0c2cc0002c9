//! Where to draw the jobs of a graph: columns by what they wait for, rows so that few lines cross.
//!
//! Works on what a record lists, which nothing has checked: inputs that are no jobs are left out, and so is of a circle what
//! closes it. Owns places on a grid; what is drawn there is the caller's.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::wire::JobListed;

/// Up to so many jobs, edges that a longer way implies are left out: that takes the square of their number.
const REDUCED_JOBS: usize = 200;

/// A graph on a grid. Indices are into the jobs that [`layers`] was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Every job, in declaration order: no two in one place.
    pub nodes: Vec<Node>,
    /// From an input to the job that has it, always to a column further right; by job, then by input. Of up to 200 jobs
    /// without those that a longer way implies.
    pub edges: Vec<(usize, usize)>,
    /// How many columns there are.
    pub columns: usize,
    /// How many rows the highest column has.
    pub rows: usize,
}

/// The place of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Which job.
    pub index: usize,
    /// Edges on the longest way to it from a job that has no job among its inputs; from 0.
    pub column: usize,
    /// From 0 without gaps in its column.
    pub row: usize,
}

/// Places jobs, in declaration order, on a grid.
///
/// In the first column they stand in declaration order, in the others by the mean row of their inputs, then in declaration
/// order. Of several jobs of one id inputs mean the first.
pub fn layers(jobs: &[JobListed]) -> Layout {
    let mut needs = known_inputs(jobs);
    let order = straighten(&mut needs);
    let mut columns = vec![0; jobs.len()];
    for index in &order {
        let inputs = needs.get(*index).into_iter().flatten();
        let column = inputs.filter_map(|input| columns.get(*input)).max().map_or(0, |column| column + 1);
        set(&mut columns, *index, column);
    }
    if jobs.len() <= REDUCED_JOBS {
        reduce(&mut needs, &order);
    }
    let rows = rows(&needs, &columns);
    let edges = needs.iter().enumerate().flat_map(|(to, inputs)| inputs.iter().map(move |from| (*from, to))).collect();
    let places = columns.iter().zip(&rows).enumerate();
    Layout {
        nodes: places.map(|(index, (column, row))| Node { index, column: *column, row: *row }).collect(),
        edges,
        columns: columns.iter().max().map_or(0, |last| last + 1),
        rows: rows.iter().max().map_or(0, |last| last + 1),
    }
}

/// For each job the other jobs among its inputs.
fn known_inputs(jobs: &[JobListed]) -> Vec<BTreeSet<usize>> {
    let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        by_id.entry(job.id.as_str()).or_insert(index);
    }
    let inputs = jobs.iter().enumerate().map(|(index, job)| {
        let known = job.inputs.iter().filter_map(|input| by_id.get(input.as_str()).copied());
        known.filter(|input| *input != index).collect()
    });
    inputs.collect()
}

/// All jobs, each after its inputs. Where they wait for each other, the first declared of them goes on without those of its
/// inputs that it still waits for, and loses them.
fn straighten(needs: &mut [BTreeSet<usize>]) -> Vec<usize> {
    let mut feeds = vec![Vec::new(); needs.len()];
    for (index, inputs) in needs.iter().enumerate() {
        for input in inputs {
            feeds.get_mut(*input).into_iter().for_each(|row: &mut Vec<usize>| row.push(index));
        }
    }
    let mut missing = needs.to_vec();
    let mut waiting: BTreeSet<usize> = (0..needs.len()).collect();
    let mut ready: Vec<usize> =
        waiting.iter().copied().filter(|index| needs.get(*index).is_some_and(BTreeSet::is_empty)).collect();
    let mut order = Vec::with_capacity(needs.len());
    loop {
        let Some(index) = ready.pop().or_else(|| waiting.first().copied()) else { return order };
        waiting.remove(&index);
        if let (Some(inputs), Some(left)) = (needs.get_mut(index), missing.get_mut(index)) {
            for input in std::mem::take(left) {
                inputs.remove(&input);
            }
        }
        order.push(index);
        for fed in feeds.get_mut(index).map(std::mem::take).unwrap_or_default() {
            if let Some(left) = missing.get_mut(fed)
                && left.remove(&index)
                && left.is_empty()
            {
                ready.push(fed);
            }
        }
    }
}

/// Takes away inputs that another input needs, near or far.
fn reduce(needs: &mut [BTreeSet<usize>], order: &[usize]) {
    // Row by row all that a job waits for, a bit for each.
    let words = needs.len().div_ceil(64);
    let mut upstream = vec![vec![0_u64; words]; needs.len()];
    for index in order {
        let inputs = needs.get(*index).cloned().unwrap_or_default();
        let mut implied = vec![0_u64; words];
        for row in inputs.iter().filter_map(|input| upstream.get(*input)) {
            implied.iter_mut().zip(row).for_each(|(all, more)| *all |= more);
        }
        let is_implied = |input: usize| implied.get(input / 64).is_some_and(|word| word & (1 << (input % 64)) != 0);
        if let Some(kept) = needs.get_mut(*index) {
            kept.retain(|input| !is_implied(*input));
        }
        for input in inputs {
            implied.get_mut(input / 64).into_iter().for_each(|word| *word |= 1 << (input % 64));
        }
        set(&mut upstream, *index, implied);
    }
}

/// The row of each job in its column.
fn rows(needs: &[BTreeSet<usize>], columns: &[usize]) -> Vec<usize> {
    let mut by_column: Vec<Vec<usize>> = vec![Vec::new(); columns.iter().max().map_or(0, |last| last + 1)];
    for (index, column) in columns.iter().enumerate() {
        by_column.get_mut(*column).into_iter().for_each(|jobs| jobs.push(index));
    }
    let mut rows = vec![0; columns.len()];
    for jobs in by_column {
        let mut placed: Vec<(Mean, usize)> = jobs
            .into_iter()
            .map(|index| {
                let inputs = needs.get(index).into_iter().flatten().filter_map(|input| rows.get(*input).copied());
                (Mean::of(inputs), index)
            })
            .collect();
        placed.sort_unstable_by(|(mean, index), (other, other_index)| mean.compare(other).then(index.cmp(other_index)));
        for (row, (_, index)) in placed.into_iter().enumerate() {
            set(&mut rows, index, row);
        }
    }
    rows
}

/// A mean as a fraction: floats would not compare the same everywhere.
#[derive(Debug, Clone, Copy)]
struct Mean {
    sum: u128,
    count: u128,
}

impl Mean {
    /// Of nothing: 0.
    fn of(values: impl Iterator<Item = usize>) -> Mean {
        let (sum, count) = values.fold((0, 0), |(sum, count), value| (sum + value as u128, count + 1));
        Mean { sum, count: count.max(1) }
    }

    fn compare(&self, other: &Mean) -> Ordering {
        (self.sum * other.count).cmp(&(other.sum * self.count))
    }
}

fn set<T>(row: &mut [T], index: usize, value: T) {
    if let Some(place) = row.get_mut(index) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;

    /// `id<input,input`, by blanks.
    fn jobs(text: &str) -> Vec<JobListed> {
        let one = |word: &str| {
            let (id, inputs) = word.split_once('<').unwrap_or((word, ""));
            let inputs = inputs.split(',').filter(|input| !input.is_empty()).map(str::to_owned).collect();
            JobListed { id: JobId::from_record(id), inputs }
        };
        text.split_whitespace().map(one).collect()
    }

    /// Columns from left to right, the ids of each from the top; then the edges.
    fn shown(jobs: &[JobListed]) -> String {
        let layout = layers(jobs);
        let name = |index: usize| jobs[index].id.as_str();
        let mut columns = vec![Vec::new(); layout.columns];
        for node in &layout.nodes {
            columns[node.column].push((node.row, name(node.index)));
        }
        let column = |mut jobs: Vec<(usize, &str)>| {
            jobs.sort_unstable();
            assert!(jobs.iter().enumerate().all(|(row, (placed, _))| row == *placed), "{jobs:?}");
            jobs.iter().map(|(_, id)| *id).collect::<Vec<_>>().join(" ")
        };
        let columns: Vec<String> = columns.into_iter().map(column).collect();
        let edges: Vec<String> =
            layout.edges.iter().map(|(from, to)| format!("{}>{}", name(*from), name(*to))).collect();
        format!("{} : {}", columns.join(" | "), edges.join(" ")).trim().to_owned()
    }

    #[test]
    fn jobs_stand_where_they_are_expected() {
        for (what, text, expected) in [
            ("nothing", "", ":"),
            ("one", "a<quire/push", "a :"),
            ("a chain, declared backwards", "c<b b<a a", "a | b | c : b>c a>b"),
            ("a diamond", "a b<a c<a d<b,c", "a | b c | d : a>b a>c b>d c>d"),
            ("lines do not cross", "a b c d<c e<b f<a", "a b c | f e d : c>d b>e a>f"),
            ("between its inputs", "a b c x<a,c y<a z<c", "a b c | y x z : a>x c>x a>y c>z"),
            ("what a longer way implies is not drawn", "a b<a c<b,a d<c,a,quire/manual", "a | b | c | d : a>b b>c c>d"),
            ("the longest way counts", "a b<a c<b d<a e<d,c", "a | b d | c | e : a>b b>c a>d c>e d>e"),
            ("inputs that are no jobs", "a<nope,quire/push,a b<a,a", "a | b : a>b"),
            ("a circle", "a<c b<a c<b d<c", "a | b | c | d : a>b b>c c>d"),
            ("two circles and one apart", "a<b b<a c<d,b d<c e", "a e | b | c | d : a>b b>c c>d"),
            ("an id twice", "a a<a b<a", "a | a b : a>a a>b"),
        ] {
            assert_eq!(shown(&jobs(text)), expected, "{what}");
        }
    }

    /// All that each job can be reached from.
    fn upstream(count: usize, edges: &[(usize, usize)]) -> BTreeSet<(usize, usize)> {
        let mut reached: BTreeSet<(usize, usize)> = edges.iter().copied().collect();
        for _ in 0..count {
            let further: Vec<(usize, usize)> = reached
                .iter()
                .flat_map(|(from, over)| {
                    edges.iter().filter(move |(at, _)| at == over).map(move |(_, to)| (*from, *to))
                })
                .collect();
            reached.extend(further);
        }
        reached
    }

    #[test]
    fn any_graph_lies_from_left_to_right() {
        fn property(inputs: Vec<Vec<u8>>, is_acyclic: bool) -> bool {
            let count = inputs.len().min(12);
            let listed: Vec<Vec<usize>> = inputs
                .iter()
                .take(count)
                .enumerate()
                .map(|(index, row)| {
                    let row = row.iter().map(|input| usize::from(*input) % (count + 2));
                    row.filter(|input| !is_acyclic || *input < index).collect()
                })
                .collect();
            let jobs: Vec<JobListed> = listed
                .iter()
                .enumerate()
                .map(|(index, row)| JobListed {
                    id: JobId::from_record(&index.to_string()),
                    inputs: row.iter().map(usize::to_string).collect(),
                })
                .collect();
            let layout = layers(&jobs);
            let column = |index: usize| layout.nodes[index].column;
            let places: BTreeSet<(usize, usize)> = layout.nodes.iter().map(|node| (node.column, node.row)).collect();
            let right = layout.edges.iter().all(|(from, to)| column(*from) < column(*to));
            let given: Vec<(usize, usize)> =
                listed.iter().enumerate().flat_map(|(to, row)| row.iter().map(move |from| (*from, to))).collect();
            let drawn = upstream(count, &layout.edges);
            // A model of the longest way: as many rounds as there are jobs move each behind its inputs.
            let mut model = vec![0; count];
            for _ in 0..if is_acyclic { count } else { 0 } {
                given.iter().for_each(|(from, to)| model[*to] = model[*to].max(model[*from] + 1));
            }
            let as_model = !is_acyclic
                || (drawn == upstream(count, &given)
                    && model.iter().enumerate().all(|(index, of)| column(index) == *of));
            // None of the edges is one that the others imply.
            let is_least = layout.edges.iter().all(|edge| {
                let others: Vec<(usize, usize)> = layout.edges.iter().copied().filter(|other| other != edge).collect();
                !upstream(count, &others).contains(edge)
            });
            let rows = layout.nodes.iter().map(|node| node.row + 1).max().unwrap_or(0);
            places.len() == count && right && as_model && is_least && layout.rows == rows
        }
        quickcheck::QuickCheck::new().tests(150).quickcheck(property as fn(Vec<Vec<u8>>, bool) -> bool);
    }

    #[test]
    fn thousands_in_a_row_or_side_by_side_take_no_deep_stack_and_no_square() {
        let id = |n: usize| JobId::from_record(&format!("j{n}"));
        let all = 20_000;
        let chain = |n: usize| JobListed { id: id(n), inputs: vec![format!("j{}", (n + all - 1) % all)] };
        let circle: Vec<JobListed> = (0..all).map(chain).collect();
        let layout = layers(&circle);
        assert_eq!((layout.columns, layout.rows, layout.edges.len()), (all, 1, all - 1));
        let star: Vec<JobListed> = (0..all)
            .map(|n| JobListed { id: id(n), inputs: if n == 0 { vec![] } else { vec!["j0".to_owned()] } })
            .collect();
        let layout = layers(&star);
        assert_eq!((layout.columns, layout.rows, layout.edges.len()), (2, all - 1, all - 1));
    }
}
