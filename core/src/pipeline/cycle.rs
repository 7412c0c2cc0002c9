//! Finds jobs that wait for each other.
//!
//! Owns the algorithms, on plain indices; what a person reads about a cycle is [`super::check`]'s. A graph is a list of rows:
//! for each node the nodes that it needs. Nothing recurses, so that a long chain needs no deep stack.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The nodes of a graph that lie on cycles.
pub(super) struct Tangles {
    /// A number for each node; nodes that reach each other have the same.
    component: Vec<usize>,
    /// Edges that lie on a cycle, by node, in the order written.
    edges: Vec<(usize, usize)>,
    nodes: BTreeSet<usize>,
}

impl Tangles {
    pub(super) fn find(needs: &[Vec<usize>]) -> Tangles {
        let component = components(needs);
        let all = needs.iter().enumerate().flat_map(|(from, row)| row.iter().map(move |to| (from, *to)));
        let edges: Vec<(usize, usize)> = all.filter(|(from, to)| component.get(*from) == component.get(*to)).collect();
        let nodes = edges.iter().map(|(from, _)| *from).collect();
        Tangles { component, edges, nodes }
    }

    /// Whether a node lies on a cycle.
    pub(super) fn contains(&self, node: usize) -> bool {
        self.nodes.contains(&node)
    }

    /// Cycles that together use every edge that lies on one, each as nodes followed by one that they need; at most `most`.
    pub(super) fn cycles(&self, needs: &[Vec<usize>], most: usize) -> Vec<Vec<usize>> {
        let mut covered = BTreeSet::new();
        let mut cycles = Vec::new();
        for (from, to) in self.edges.iter().copied() {
            if cycles.len() == most {
                break;
            }
            if !covered.contains(&(from, to)) {
                let cycle = self.shortest(needs, from, to);
                covered.extend(cycle.iter().copied().zip(cycle.iter().copied().cycle().skip(1)));
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// The shortest cycle through the edge `from -> to` of one component, beginning with `from`.
    fn shortest(&self, needs: &[Vec<usize>], from: usize, to: usize) -> Vec<usize> {
        let mut came_from = BTreeMap::from([(to, to)]);
        let mut waiting = VecDeque::from([to]);
        while let Some(node) = waiting.pop_front() {
            if node == from {
                break;
            }
            for next in needs.get(node).into_iter().flatten().copied() {
                if self.component.get(next) == self.component.get(from) && !came_from.contains_key(&next) {
                    came_from.insert(next, node);
                    waiting.push_back(next);
                }
            }
        }
        let mut back = vec![from];
        let mut node = from;
        while let Some(before) = came_from.get(&node).copied().filter(|before| *before != node) {
            back.push(before);
            node = before;
        }
        // `back` runs from `from` against the arrows down to `to`; the cycle is `from`, then `to` and on.
        let mut cycle = vec![from];
        cycle.extend(back.into_iter().skip(1).rev());
        cycle
    }
}

/// The same edges the other way: for each node the nodes that need it.
pub(super) fn reversed(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut feeds = vec![Vec::new(); needs.len()];
    for (from, row) in needs.iter().enumerate() {
        for to in row {
            if let Some(row) = feeds.get_mut(*to) {
                row.push(from);
            }
        }
    }
    feeds
}

/// The numbers of [`Tangles::component`] (Kosaraju's algorithm, without recursion).
fn components(needs: &[Vec<usize>]) -> Vec<usize> {
    let feeds = reversed(needs);
    let mut finished = Vec::new();
    let mut seen = vec![false; needs.len()];
    for root in 0..needs.len() {
        let mut path = vec![(root, 0)];
        if seen.get(root).copied().unwrap_or(true) {
            continue;
        }
        set(&mut seen, root);
        while let Some((node, edge)) = path.pop() {
            match needs.get(node).and_then(|row| row.get(edge)) {
                Some(next) => {
                    path.push((node, edge + 1));
                    if !seen.get(*next).copied().unwrap_or(true) {
                        set(&mut seen, *next);
                        path.push((*next, 0));
                    }
                }
                None => finished.push(node),
            }
        }
    }
    let mut component = vec![usize::MAX; needs.len()];
    for root in finished.into_iter().rev() {
        let mut waiting = vec![root];
        while let Some(node) = waiting.pop() {
            if let Some(number) = component.get_mut(node).filter(|number| **number == usize::MAX) {
                *number = root;
                waiting.extend(feeds.get(node).into_iter().flatten());
            }
        }
    }
    component
}

fn set(flags: &mut [bool], index: usize) {
    if let Some(flag) = flags.get_mut(index) {
        *flag = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(needs: &[&[usize]], expected: &[&[usize]]) {
        let needs: Vec<Vec<usize>> = needs.iter().map(|row| row.to_vec()).collect();
        let tangles = Tangles::find(&needs);
        assert_eq!(tangles.cycles(&needs, 100), expected, "{needs:?}");
        let nodes: BTreeSet<usize> = expected.iter().flat_map(|cycle| cycle.iter().copied()).collect();
        for node in 0..needs.len() {
            assert_eq!(tangles.contains(node), nodes.contains(&node), "{node} of {needs:?}");
        }
    }

    #[test]
    fn cycles() {
        check(&[], &[]);
        check(&[&[1], &[2], &[]], &[]);
        check(&[&[1], &[0]], &[&[0, 1]]);
        check(&[&[1], &[2], &[0]], &[&[0, 1, 2]]);
        // Two through one node, and what stands before and behind them.
        check(&[&[1], &[2, 3], &[1], &[1, 4], &[]], &[&[1, 2], &[1, 3]]);
        // A chord: the short way round and the long one.
        check(&[&[1, 2], &[2], &[0]], &[&[0, 1, 2], &[0, 2]]);
        // Two apart, one above the other.
        check(&[&[1], &[0, 2], &[3], &[2]], &[&[0, 1], &[2, 3]]);
    }

    #[test]
    fn a_limit_ends_the_search() {
        let all: Vec<Vec<usize>> = (0..30).map(|from| (0..30).filter(|to| *to != from).collect()).collect();
        assert_eq!(Tangles::find(&all).cycles(&all, 7).len(), 7);
    }
}
