//! A graph in the language of Graphviz.

use super::graph::{Edge, Flow, Graph, Shape, Vertex};

/// Characters of a second line.
const SECOND_CHARS_MAX: usize = 70;

/// The graph for `dot -Tsvg`.
#[must_use]
pub fn render(graph: &Graph) -> String {
    let mut text = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [fontname=\"Helvetica\", fontsize=11, style=filled];\n  \
         edge [fontname=\"Helvetica\", fontsize=10];\n",
        quoted(&graph.application)
    );
    for vertex in graph.vertices.iter().filter(|vertex| vertex.cluster.is_none()) {
        text.push_str(&format!("  {}\n", declared(vertex)));
    }
    for (number, cluster) in graph.clusters.iter().enumerate() {
        let title = quoted(&cluster.title);
        text.push_str(&format!("  subgraph cluster_{number} {{\n    label={title};\n    style=rounded;\n"));
        for vertex in graph.vertices.iter().filter(|vertex| vertex.cluster == Some(number)) {
            text.push_str(&format!("    {}\n", declared(vertex)));
        }
        text.push_str("  }\n");
    }
    for edge in &graph.edges {
        text.push_str(&format!("  {}\n", arrow(graph, edge)));
    }
    text.push_str("}\n");
    text
}

fn declared(vertex: &Vertex) -> String {
    let second = vertex.second_line(SECOND_CHARS_MAX);
    let look = match vertex.shape {
        Shape::Topic => "shape=parallelogram, fillcolor=\"#fff4d6\"",
        Shape::Repartition => "shape=parallelogram, fillcolor=\"#ffe8cc\"",
        Shape::Changelog => "shape=parallelogram, style=\"filled,dashed\", fillcolor=\"#f7fafc\"",
        Shape::Store => "shape=cylinder, fillcolor=\"#e6fffa\"",
        Shape::Node => "shape=box, style=\"filled,rounded\", fillcolor=\"#ebf4ff\"",
    };
    format!("{} [label={}, {look}];", vertex.id, quoted(&format!("{}\n{second}", vertex.name)))
}

fn arrow(graph: &Graph, edge: &Edge) -> String {
    let (from, to) = (&graph.vertices[edge.from].id, &graph.vertices[edge.to].id);
    let mut settings: Vec<String> = edge.label.iter().map(|label| format!("label={}", quoted(label))).collect();
    match edge.flow {
        Flow::Rows => {}
        Flow::Both => settings.push("style=dashed, dir=both".to_owned()),
        Flow::Entries => settings.push("style=dashed".to_owned()),
        Flow::Changes => settings.push("style=dotted".to_owned()),
    }
    if settings.is_empty() { format!("{from} -> {to};") } else { format!("{from} -> {to} [{}];", settings.join(", ")) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
