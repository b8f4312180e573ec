//! A graph in Mermaid's language, as GitHub and many editors draw it.

use super::graph::{Edge, Flow, Graph, Shape, Vertex};

/// Characters of a second line.
const SECOND_CHARS_MAX: usize = 70;

/// The graph as a Mermaid flowchart.
#[must_use]
pub fn render(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for vertex in graph.vertices.iter().filter(|vertex| vertex.cluster.is_none()) {
        text.push_str(&format!("  {}\n", declared(vertex)));
    }
    for (number, cluster) in graph.clusters.iter().enumerate() {
        text.push_str(&format!("  subgraph part{number}[\"{}\"]\n", escape(&cluster.title)));
        for vertex in graph.vertices.iter().filter(|vertex| vertex.cluster == Some(number)) {
            text.push_str(&format!("    {}\n", declared(vertex)));
        }
        text.push_str("  end\n");
    }
    for edge in &graph.edges {
        text.push_str(&format!("  {}\n", arrow(graph, edge)));
    }
    text.push_str(
        "  classDef topic fill:#fff4d6,stroke:#b7791f,color:#1a202c\n  \
         classDef repartition fill:#ffe8cc,stroke:#c05621,color:#1a202c\n  \
         classDef changelog fill:#f7fafc,stroke:#718096,color:#1a202c,stroke-dasharray:4 3\n  \
         classDef store fill:#e6fffa,stroke:#2c7a7b,color:#1a202c\n  \
         classDef node fill:#ebf4ff,stroke:#2b6cb0,color:#1a202c\n",
    );
    text
}

fn declared(vertex: &Vertex) -> String {
    let second = vertex.second_line(SECOND_CHARS_MAX);
    let label = format!("\"<b>{}</b><br/>{}\"", escape(&vertex.name), escape(&second));
    let id = &vertex.id;
    match vertex.shape {
        Shape::Topic => format!("{id}[/{label}/]:::topic"),
        Shape::Repartition => format!("{id}[/{label}/]:::repartition"),
        Shape::Changelog => format!("{id}[/{label}/]:::changelog"),
        Shape::Store => format!("{id}[({label})]:::store"),
        Shape::Node => format!("{id}[{label}]:::node"),
    }
}

fn arrow(graph: &Graph, edge: &Edge) -> String {
    let (from, to) = (&graph.vertices[edge.from].id, &graph.vertices[edge.to].id);
    let arrow = match edge.flow {
        Flow::Rows => "-->",
        Flow::Both => "<-.->",
        Flow::Entries | Flow::Changes => "-.->",
    };
    match &edge.label {
        Some(label) => format!("{from} {arrow}|\"{}\"| {to}", escape(label)),
        None => format!("{from} {arrow} {to}"),
    }
}

/// Mermaid reads HTML in quotes, and takes `#` for the begin of a character's number.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' => escaped.push_str(&format!("#{};", c as u32)),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
