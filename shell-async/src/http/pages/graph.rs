//! The graph of a run's jobs as a picture: boxes in columns, from what they need to what needs them. Where boxes stand is the
//! core's to say.

use std::collections::BTreeMap;

use quire_core::ids::JobId;
use quire_core::pipeline::layers;
use quire_core::rows::JobRow;
use quire_core::wire::JobListed;

use super::told::{job_class, part};

/// Larger graphs are not drawn: nobody reads them, and the list of jobs says the same.
const MOST_JOBS: usize = 120;
const HEIGHT: usize = 26;
const ROW: usize = 38;
/// Between two columns.
const GAP: usize = 44;
/// Of a letter, on average, at 13 px.
const LETTER: usize = 8;
/// Longest name that is written out, in characters.
const LONGEST: usize = 28;

/// A box.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) job: String,
    pub(super) anchor: String,
    pub(super) class: &'static str,
    pub(super) word: String,
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) text_x: usize,
    pub(super) text_y: usize,
}

/// The picture. Units are pixels.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) box_height: usize,
    pub(super) nodes: Vec<Node>,
    /// Paths in SVG's own words.
    pub(super) edges: Vec<String>,
}

impl Graph {
    /// Of jobs with their inputs; none where there is nothing to see.
    pub(super) fn new(graph: &[JobListed], rows: &[JobRow]) -> Option<Graph> {
        if !(2..=MOST_JOBS).contains(&graph.len()) {
            return None;
        }
        let layout = layers(graph);
        if layout.edges.is_empty() {
            return None;
        }
        let states: BTreeMap<&JobId, &JobRow> = rows.iter().map(|row| (&row.job_id, row)).collect();
        let label = |index: usize| graph.get(index).map_or("", |job| job.id.as_str());
        let wide = |index: usize| label(index).chars().count().min(LONGEST) * LETTER + 34;
        let mut widths = vec![0; layout.columns];
        for node in &layout.nodes {
            if let Some(width) = widths.get_mut(node.column) {
                *width = wide(node.index).max(*width);
            }
        }
        let lefts: Vec<usize> = widths
            .iter()
            .scan(1, |left, width| {
                let here = *left;
                *left += width + GAP;
                Some(here)
            })
            .collect();
        let mut places = BTreeMap::new();
        let mut nodes = Vec::new();
        for node in &layout.nodes {
            let (Some(&x), Some(&width)) = (lefts.get(node.column), widths.get(node.column)) else { continue };
            let y = 1 + node.row * ROW;
            places.insert(node.index, (x, y, width));
            let row = graph.get(node.index).and_then(|job| states.get(&job.id));
            let class = row.map_or("pending", |row| job_class(row.state, row.allowed));
            nodes.push(Node {
                job: cut(label(node.index)),
                anchor: format!("#job-{}", part(label(node.index))),
                class,
                word: class.to_owned(),
                x,
                y,
                width,
                text_x: x + 26,
                text_y: y + 18,
            });
        }
        let edge = |(from, to): &(usize, usize)| {
            let ((x1, y1, width), (x2, y2, _)) = (*places.get(from)?, *places.get(to)?);
            let (x1, y1, y2) = (x1 + width, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
            let middle = x2.saturating_sub(GAP / 2);
            Some(format!("M{x1} {y1}H{}C{middle} {y1} {middle} {y2} {x2} {y2}", x2.saturating_sub(GAP).max(x1)))
        };
        let edges = layout.edges.iter().filter_map(edge).collect();
        let width = lefts.last().zip(widths.last()).map_or(0, |(left, width)| left + width + 1);
        Some(Graph { width, height: layout.rows * ROW - (ROW - HEIGHT) + 2, box_height: HEIGHT, nodes, edges })
    }
}

fn cut(name: &str) -> String {
    match name.chars().count() > LONGEST {
        true => name.chars().take(LONGEST - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}
