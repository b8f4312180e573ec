//! Where things of a graph are drawn: from left to right, a box for each part of the topology, one below the other.
//!
//! A node reads from one other, so the nodes of a part are a forest, and a store hangs from the node that writes it first: each
//! tree is laid out with a row for each leaf and its parents midway, so no edge of it crosses another. A part stands right of
//! the topics that it reads; topics stand between the boxes, in the row of who writes or reads them.

use std::collections::BTreeMap;

use super::graph::{Flow, Graph, Shape, Vertex};

/// Of every box, in pixels.
pub const HEIGHT: i32 = 44;
/// From one row to the next.
const ROW: i32 = HEIGHT + 18;
/// Between columns, without labels, in pixels.
pub const GAP: i32 = 52;
/// Around a part, and around all.
const PADDING: i32 = 18;
/// For the title of a part.
const TITLE: i32 = 24;
/// Between two parts.
const LANE_GAP: i32 = 30;
/// A character of a name, in hundredths of a pixel.
const NAME_CHAR: i32 = 740;
/// A character of the second line and of labels.
const SMALL_CHAR: i32 = 612;
/// Characters of a second line.
pub const SECOND_CHARS_MAX: usize = 34;
/// How often columns are moved right until each node stands behind all that it reads.
const ROUNDS_MAX: usize = 1000;
/// The narrowest box.
const WIDTH_MIN: i32 = 90;

/// A rectangle, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Its left side.
    pub x: i32,
    /// Its top.
    pub y: i32,
    /// Its width.
    pub w: i32,
    /// Its height.
    pub h: i32,
}

impl Rect {
    /// Its right side.
    #[must_use]
    pub fn right(self) -> i32 {
        self.x + self.w
    }

    /// Its bottom.
    #[must_use]
    pub fn bottom(self) -> i32 {
        self.y + self.h
    }
}

/// A picture's places.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Of all.
    pub width: i32,
    /// Of all.
    pub height: i32,
    /// Of each vertex.
    pub vertices: Vec<Rect>,
    /// Of each part.
    pub clusters: Vec<Rect>,
    /// Of each vertex in a part, where the next column begins: until there an edge has turned into its row.
    pub turns: Vec<i32>,
}

/// Pixels of a label.
#[must_use]
pub fn label_width(label: &str) -> i32 {
    label.chars().count() as i32 * SMALL_CHAR / 100
}

fn width(vertex: &Vertex) -> i32 {
    let name = vertex.name.chars().count() as i32 * NAME_CHAR / 100;
    name.max(label_width(&vertex.second_line(SECOND_CHARS_MAX))).max(WIDTH_MIN - 24) + 24
}

impl Layout {
    /// Where everything of `graph` goes.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        let rect = |vertex: &Vertex| Rect { w: width(vertex), h: HEIGHT, ..Rect::default() };
        let vertices = graph.vertices.iter().map(rect).collect();
        let clusters = vec![Rect::default(); graph.clusters.len()];
        let mut layout = Self { vertices, clusters, turns: vec![0; graph.vertices.len()], ..Self::default() };
        for cluster in 0..graph.clusters.len() {
            layout.place_cluster(graph, cluster);
        }
        layout.place_lanes(graph);
        layout
    }

    /// The vertices of a part, as if its box began at 0, 0.
    fn place_cluster(&mut self, graph: &Graph, cluster: usize) {
        let children = children(graph, cluster);
        let has_parent = |vertex: &usize| children.values().any(|children| children.contains(vertex));
        let members = (0..graph.vertices.len()).filter(|vertex| graph.vertices[*vertex].cluster == Some(cluster));
        let mut pending: Vec<usize> = members.filter(|vertex| !has_parent(vertex)).collect();
        pending.reverse();
        let mut order: Vec<usize> = Vec::new();
        while let Some(vertex) = pending.pop() {
            order.push(vertex);
            pending.extend(children.get(&vertex).into_iter().flatten().rev());
        }
        let order = depths(graph, &order, &children);
        let columns = self.columns(graph, &order);
        let mut row = 0;
        for &(vertex, depth) in &order {
            (self.vertices[vertex].x, self.turns[vertex]) = (columns[depth], columns[depth + 1]);
            if !children.contains_key(&vertex) {
                self.vertices[vertex].y = PADDING + TITLE + row * ROW;
                row += 1;
            }
        }
        // Parents stand before their children in the order, so backwards each finds its children placed.
        for (vertex, _) in order.iter().rev() {
            if let Some([first, .., last] | [first @ last]) = children.get(vertex).map(Vec::as_slice) {
                self.vertices[*vertex].y = (self.vertices[*first].y + self.vertices[*last].y) / 2;
            }
        }
        let right = order.iter().map(|(vertex, _)| self.vertices[*vertex].right()).max().unwrap_or(0);
        let h = PADDING + TITLE + row * ROW - (ROW - HEIGHT) + PADDING;
        let title = label_width(&graph.clusters[cluster].title) + 2 * PADDING;
        self.clusters[cluster] = Rect { x: 0, y: 0, w: (right + PADDING).max(title), h };
    }

    /// The left side of each column: as far right as the boxes and the labels before it want.
    fn columns(&self, graph: &Graph, order: &[(usize, usize)]) -> Vec<i32> {
        let depth_max = order.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
        let mut columns = vec![PADDING];
        for depth in 0..=depth_max {
            let column = || order.iter().filter(|(_, of)| *of == depth).map(|(vertex, _)| *vertex);
            let widest = column().map(|vertex| self.vertices[vertex].w).max().unwrap_or(0);
            let labels = graph.edges.iter().filter(|edge| column().any(|vertex| vertex == edge.from));
            let labels = labels.filter_map(|edge| edge.label.as_deref().map(label_width));
            columns.push(columns[depth] + widest + GAP + labels.max().unwrap_or(0));
        }
        columns
    }

    fn place_lanes(&mut self, graph: &Graph) {
        let uses = uses(graph);
        let lanes = lanes(graph.clusters.len(), &uses);
        let read_only = |of: &&TopicUse| of.writers.is_empty();
        let left = uses.iter().filter(read_only).map(|of| self.vertices[of.topic].w).max();
        let base = PADDING + left.map_or(0, |widest| widest + GAP);
        let mut top = PADDING;
        let mut placed = vec![false; graph.clusters.len()];
        for cluster in lanes {
            let sources = uses.iter().filter(|of| of.readers.iter().any(|(reader, _)| *reader == cluster));
            let after = sources.filter(|of| of.writers.first().is_some_and(|(writer, _)| placed[*writer]));
            let x = after.map(|of| self.vertices[of.topic].right() + GAP).max().unwrap_or(0).max(base);
            self.move_cluster(graph, cluster, x, top);
            placed[cluster] = true;
            let is_read_here = |of: &&TopicUse| {
                of.writers.is_empty()
                    && of.readers.iter().map(|(reader, _)| *reader).min_by_key(|reader| !placed[*reader])
                        == Some(cluster)
            };
            let inputs: Vec<&TopicUse> = uses.iter().filter(is_read_here).collect();
            let is_first_written_here =
                |of: &&TopicUse| of.writers.first().is_some_and(|(writer, _)| *writer == cluster);
            let outputs: Vec<&TopicUse> = uses.iter().filter(is_first_written_here).collect();
            let bottom = self.stack(&inputs, cluster, false).max(self.stack(&outputs, cluster, true));
            top = bottom.max(self.clusters[cluster].bottom()) + LANE_GAP;
        }
        let all = || self.vertices.iter().chain(&self.clusters);
        self.width = all().map(|rect| rect.right()).max().unwrap_or(0) + PADDING;
        self.height = all().map(|rect| rect.bottom()).max().unwrap_or(0) + PADDING;
    }

    fn move_cluster(&mut self, graph: &Graph, cluster: usize, x: i32, y: i32) {
        for (rect, _) in self.vertices.iter_mut().zip(&graph.vertices).filter(|(_, of)| of.cluster == Some(cluster)) {
            (rect.x, rect.y) = (rect.x + x, rect.y + y);
        }
        for (turn, _) in self.turns.iter_mut().zip(&graph.vertices).filter(|(_, of)| of.cluster == Some(cluster)) {
            *turn += x;
        }
        (self.clusters[cluster].x, self.clusters[cluster].y) = (x, y);
    }

    /// Topics beside a part, each as near as can be to the row of its nodes there. Returns where they end.
    fn stack(&mut self, topics: &[&TopicUse], cluster: usize, right: bool) -> i32 {
        let mut wanted: Vec<(i32, usize)> = Vec::new();
        for of in topics {
            let users = if right { &of.writers } else { &of.readers };
            let rows = users.iter().filter(|(user, _)| *user == cluster).map(|(_, node)| self.vertices[*node].y);
            let rows: Vec<i32> = rows.collect();
            let middle = rows.iter().sum::<i32>() / (rows.len() as i32).max(1);
            wanted.push((middle, of.topic));
        }
        wanted.sort_unstable();
        let (mut free, part) = (i32::MIN, self.clusters[cluster]);
        for (y, topic) in wanted {
            let rect = &mut self.vertices[topic];
            rect.y = y.max(free);
            rect.x = if right { part.right() + GAP } else { part.x - GAP - rect.w };
            free = rect.y + ROW;
        }
        if topics.is_empty() { 0 } else { free - ROW + HEIGHT }
    }
}

/// A topic that stands outside of the parts, and who writes and reads it: parts and their nodes.
struct TopicUse {
    topic: usize,
    writers: Vec<(usize, usize)>,
    readers: Vec<(usize, usize)>,
}

fn uses(graph: &Graph) -> Vec<TopicUse> {
    let outside = (0..graph.vertices.len()).filter(|vertex| graph.vertices[*vertex].cluster.is_none());
    let part = |vertex: usize| graph.vertices[vertex].cluster.map(|cluster| (cluster, vertex));
    let uses = outside.map(|topic| {
        let rows = || graph.edges.iter().filter(|edge| edge.flow == Flow::Rows);
        let writers = rows().filter(|edge| edge.to == topic).filter_map(|edge| part(edge.from)).collect();
        let readers = rows().filter(|edge| edge.from == topic).filter_map(|edge| part(edge.to)).collect();
        TopicUse { topic, writers, readers }
    });
    uses.collect()
}

/// The parts from top to bottom: each after those whose topics it reads, as far as rows go in no circle.
fn lanes(clusters: usize, uses: &[TopicUse]) -> Vec<usize> {
    let mut lanes: Vec<usize> = Vec::with_capacity(clusters);
    let waits_for = |cluster: usize, placed: &[usize]| {
        let reads = |of: &&TopicUse| of.readers.iter().any(|(reader, _)| *reader == cluster);
        let mut writers = uses.iter().filter(reads).flat_map(|of| &of.writers).map(|(writer, _)| *writer);
        writers.any(|writer| writer != cluster && !placed.contains(&writer))
    };
    while lanes.len() < clusters {
        let mut left = (0..clusters).filter(|cluster| !lanes.contains(cluster));
        let first = left.clone().next();
        let next = left.find(|cluster| !waits_for(*cluster, &lanes)).or(first);
        lanes.extend(next);
    }
    lanes
}

/// The column of each of `order`, which has parents before their children: right of its parent, and of all else that it reads.
fn depths(graph: &Graph, order: &[usize], children: &BTreeMap<usize, Vec<usize>>) -> Vec<(usize, usize)> {
    let mut depths: BTreeMap<usize, usize> = order.iter().map(|vertex| (*vertex, 0)).collect();
    let reads = graph.edges.iter().filter(|edge| graph.vertices[edge.to].shape == Shape::Node);
    let reads: Vec<(usize, usize)> = reads.map(|edge| (edge.from, edge.to)).collect();
    let hang = children.iter().flat_map(|(parent, of)| of.iter().map(|child| (*parent, *child)));
    let before: Vec<(usize, usize)> = hang.chain(reads).filter(|(from, _)| depths.contains_key(from)).collect();
    // In a circle through a store each round moves all on: then columns are wide, and the picture is still one.
    for _ in 0..order.len().min(ROUNDS_MAX) {
        let mut moved = false;
        for (from, to) in &before {
            let least = depths[from] + 1;
            if let Some(depth) = depths.get_mut(to).filter(|depth| **depth < least && least < order.len()) {
                (*depth, moved) = (least, true);
            }
        }
        if !moved {
            break;
        }
    }
    order.iter().map(|vertex| (*vertex, depths[vertex])).collect()
}

/// The trees of a part: what each node or store has hanging from it, nodes before stores.
fn children(graph: &Graph, cluster: usize) -> BTreeMap<usize, Vec<usize>> {
    let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut taken: Vec<usize> = Vec::new();
    let inside = |vertex: usize| graph.vertices[vertex].cluster == Some(cluster);
    let shape = |vertex: usize| graph.vertices[vertex].shape;
    for edge in graph.edges.iter().filter(|edge| inside(edge.from) && inside(edge.to)) {
        let hangs = matches!(
            (shape(edge.from), shape(edge.to)),
            (Shape::Node, Shape::Node | Shape::Store) | (Shape::Store, Shape::Changelog)
        );
        if hangs && !taken.contains(&edge.to) {
            taken.push(edge.to);
            children.entry(edge.from).or_default().push(edge.to);
        }
    }
    for of in children.values_mut() {
        of.sort_by_key(|child| shape(*child) != Shape::Node);
    }
    children
}
