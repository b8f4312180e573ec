//! A graph as a picture of its own, which any browser shows.

use super::graph::{Edge, Flow, Graph, Shape, Vertex};
use super::layout::{GAP, HEIGHT, Layout, Rect, SECOND_CHARS_MAX, label_width};

/// How far an edge goes straight on before it turns, in pixels.
const BEND_MIN: i32 = 24;
/// Between a label and the arrow's head.
const LABEL_GAP: i32 = 12;
/// The ellipse of a cylinder, half its height.
const LID: i32 = 5;
/// How far a parallelogram leans.
const LEAN: i32 = 9;

const STYLE: &str = "text{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1a202c}\
.name{font-size:12px;font-weight:bold}.more{font-size:10px;fill:#4a5568}.title{font-size:11px;fill:#4a5568}\
.label{font-size:10px;fill:#2d3748;stroke:#fff;stroke-width:4px;paint-order:stroke}\
.part{fill:#f8fafc;stroke:#cbd5e0}.edge{fill:none;stroke:#4a5568;stroke-width:1.3}\
.entries{stroke:#2c7a7b;stroke-dasharray:5 3}.changes{stroke:#718096;stroke-dasharray:2 3}\
.topic{fill:#fff4d6;stroke:#b7791f}.repartition{fill:#ffe8cc;stroke:#c05621}\
.changelog{fill:#fff;stroke:#718096;stroke-dasharray:4 3}.store{fill:#e6fffa;stroke:#2c7a7b}\
.node{fill:#ebf4ff;stroke:#2b6cb0}";

/// The graph as SVG.
#[must_use]
pub fn render(graph: &Graph) -> String {
    let layout = Layout::of(graph);
    let (width, height) = (layout.width, layout.height);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n<defs>{}{}</defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n",
        escape(&graph.application),
        marker("rows", "#4a5568"),
        marker("entries", "#2c7a7b"),
    );
    for (cluster, Rect { x, y, w, h }) in graph.clusters.iter().zip(&layout.clusters) {
        text.push_str(&format!(
            "<rect class=\"part\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"10\"/>\n\
             <text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n",
            x + 14,
            y + 18,
            escape(&cluster.title)
        ));
    }
    for edge in &graph.edges {
        text.push_str(&line(edge, graph, &layout));
    }
    for (vertex, rect) in graph.vertices.iter().zip(&layout.vertices) {
        text.push_str(&drawn(vertex, *rect));
    }
    // Above the boxes: a label that lies half under one cannot be read.
    for edge in &graph.edges {
        text.push_str(&label(edge, graph, &layout));
    }
    text.push_str("</svg>\n");
    text
}

fn marker(name: &str, color: &str) -> String {
    format!(
        "<marker id=\"{name}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto-start-reverse\"><path d=\"M0 0.5 8 4 0 7.5z\" fill=\"{color}\"/></marker>"
    )
}

/// Three quarters down the side of a box: where what a join finds comes in, below the rows that it joins.
const RIGHT_SIDE: i32 = HEIGHT * 3 / 4;

/// The way of an edge: straight to where it turns, a curve into its row, straight on to the end.
struct Way {
    begin: (i32, i32),
    /// The first and the last point of the curve.
    turn: [(i32, i32); 2],
    end: (i32, i32),
    /// The curve leaves and comes in from above or below.
    upright: bool,
}

fn way(edge: &Edge, graph: &Graph, layout: &Layout) -> Way {
    let (from, to) = (layout.vertices[edge.from], layout.vertices[edge.to]);
    let part = |vertex: usize| graph.vertices[vertex].cluster;
    let is_read = graph.vertices[edge.from].shape == Shape::Store && graph.vertices[edge.to].shape == Shape::Node;
    let is_right = is_read || edge.label.as_deref().is_some_and(|label| label.starts_with("right"));
    let (begin, end_y) = ((from.right(), from.y + HEIGHT / 2), to.y + if is_right { RIGHT_SIDE } else { HEIGHT / 2 });
    let (first, last) = match (part(edge.from), part(edge.to)) {
        (Some(one), Some(other)) if one == other => (begin.0, layout.turns[edge.from]),
        // The row on the right of a sink is free.
        (Some(part), _) => (layout.clusters[part].right(), layout.clusters[part].right() + GAP),
        (None, Some(part)) => (begin.0.max(layout.clusters[part].x - GAP), layout.clusters[part].x),
        (None, None) => (begin.0, to.x),
    };
    if to.x >= last.min(first + BEND_MIN) && to.x > begin.0 {
        let last = last.min(to.x);
        return Way { begin, turn: [(first, begin.1), (last, end_y)], end: (to.x, end_y), upright: false };
    }
    // Backwards: from the side of the box that looks there.
    let (middle, target) = (from.x + from.w / 2, to.x + to.w / 2);
    let (begin, end) = if to.y >= from.y { (from.bottom(), to.y) } else { (from.y, to.bottom()) };
    let (begin, end) = ((middle, begin), (target, end));
    Way { begin, turn: [begin, end], end, upright: true }
}

impl Way {
    /// The curve's points: two on it, and two between that it is drawn to.
    fn curve(&self) -> [(i32, i32); 4] {
        let [a, d] = self.turn;
        if self.upright {
            let bend = ((d.1 - a.1).abs() / 2).max(BEND_MIN) * if d.1 >= a.1 { 1 } else { -1 };
            return [a, (a.0, a.1 + bend), (d.0, d.1 - bend), d];
        }
        let bend = ((d.0 - a.0) / 2).max(BEND_MIN);
        [a, (a.0 + bend, a.1), (d.0 - bend, d.1), d]
    }
}

fn line(edge: &Edge, graph: &Graph, layout: &Layout) -> String {
    let way = way(edge, graph, layout);
    let (class, marker) = match edge.flow {
        Flow::Rows => ("edge", "rows"),
        Flow::Both | Flow::Entries => ("edge entries", "entries"),
        Flow::Changes => ("edge changes", "rows"),
    };
    let begin = if edge.flow == Flow::Both { " marker-start=\"url(#entries)\"" } else { "" };
    let mut path = format!("M{} {}", way.begin.0, way.begin.1);
    if way.begin.1 == way.end.1 && !way.upright {
        path.push_str(&format!(" H{}", way.end.0));
    } else {
        let [a, b, c, d] = way.curve();
        path.push_str(&if a == way.begin { String::new() } else { format!(" H{}", a.0) });
        path.push_str(&format!(" C{} {} {} {} {} {}", b.0, b.1, c.0, c.1, d.0, d.1));
        path.push_str(&if d == way.end { String::new() } else { format!(" H{}", way.end.0) });
    }
    format!("<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#{marker})\"{begin}/>\n")
}

fn label(edge: &Edge, graph: &Graph, layout: &Layout) -> String {
    let Some(text) = &edge.label else { return String::new() };
    let way = way(edge, graph, layout);
    let width = label_width(text);
    // Before the box that it comes to, or on the middle of a curve that goes back.
    let (x, y) = if way.upright {
        let [a, _, _, d] = way.curve();
        ((a.0 + d.0) / 2 - width / 2, (a.1 + d.1) / 2)
    } else {
        (way.end.0 - width - LABEL_GAP, way.end.1 - 4)
    };
    format!("<text class=\"label\" x=\"{x}\" y=\"{y}\">{}</text>\n", escape(text))
}

fn drawn(vertex: &Vertex, rect: Rect) -> String {
    let Rect { x, y, w, h } = rect;
    let (right, bottom) = (rect.right(), rect.bottom());
    let parallelogram = |class: &str| {
        let (top_left, top_right) = (x + LEAN, right + LEAN / 2);
        let (low_left, low_right) = (x - LEAN / 2, right - LEAN);
        format!("<path class=\"{class}\" d=\"M{top_left} {y} H{top_right} L{low_right} {bottom} H{low_left} Z\"/>")
    };
    let outline = match vertex.shape {
        Shape::Node => format!("<rect class=\"node\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>"),
        Shape::Topic => parallelogram("topic"),
        Shape::Repartition => parallelogram("repartition"),
        Shape::Changelog => parallelogram("changelog"),
        Shape::Store => {
            let (radius, top, low) = (w / 2, y + LID, bottom - LID);
            format!(
                "<path class=\"store\" d=\"M{x} {top} A{radius} {LID} 0 0 1 {right} {top} V{low} A{radius} {LID} 0 0 1 \
                 {x} {low} Z M{x} {top} A{radius} {LID} 0 0 0 {right} {top}\"/>"
            )
        }
    };
    let (middle, second) = (x + w / 2, vertex.second_line(SECOND_CHARS_MAX));
    let down = if vertex.shape == Shape::Store { 3 } else { 0 };
    format!(
        "<g><title>{}</title>{outline}<text class=\"name\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}</text>\
         <text class=\"more\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}</text></g>\n",
        escape(&format!("{} {}: {}", vertex.kind, vertex.name, vertex.detail)),
        y + 19 + down,
        escape(&vertex.name),
        y + 34 + down,
        escape(&second)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
