//! Golden pictures and descriptions: `tests/show/NAME.yaml` with what is made of it beside it.
//! `UPDATE=1 cargo test --release --workspace --bin weir show::` rewrites them; look at them before you commit.

use std::fs;
use std::path::{Path, PathBuf};

use weir_core::topology::{Topology, parse};

use super::describe::Description;
use super::explain;
use super::graph::{Cluster, Edge, Flow, Graph, Shape, Vertex};
use super::layout::{Layout, Rect};
use super::{dot, mermaid, svg};
use crate::cli::source::counts;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/show");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 4);
    files
}

fn read(path: &Path) -> (Topology, String) {
    let text = fs::read_to_string(path).unwrap();
    (parse("topology.yaml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}")), text)
}

fn tasks(topology: &Topology) -> Vec<Option<i32>> {
    counts(topology).1
}

#[test]
fn topologies_are_drawn_and_described_as_in_the_golden_files() {
    let mut differences = Vec::new();
    for path in files() {
        let (topology, text) = read(&path);
        let (counts, tasks) = counts(&topology);
        let graph = Graph::of(&topology, &tasks);
        let made = [
            ("mmd", mermaid::render(&graph)),
            ("dot", dot::render(&graph)),
            ("svg", svg::render(&graph)),
            ("describe.txt", Description::of(&topology, &counts, &tasks).text()),
            ("explain.txt", explain::render(&explain::facts(&topology, &text), "topology.yaml")),
        ];
        for (extension, made) in made {
            let golden = path.with_extension(extension);
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&golden, &made).unwrap();
            }
            if fs::read_to_string(&golden).unwrap_or_default() != made {
                differences.push(format!("{}\n{made}", golden.display()));
            }
        }
    }
    assert!(differences.is_empty(), "{}\nUPDATE=1 accepts this", differences.join("\n"));
}

fn meet(one: Rect, other: Rect) -> bool {
    one.x < other.right() && other.x < one.right() && one.y < other.bottom() && other.y < one.bottom()
}

#[test]
fn no_two_boxes_lie_upon_each_other_and_parts_hold_their_own() {
    for path in files() {
        let (topology, _) = read(&path);
        let graph = Graph::of(&topology, &tasks(&topology));
        let layout = Layout::of(&graph);
        for (index, (vertex, rect)) in graph.vertices.iter().zip(&layout.vertices).enumerate() {
            for (other, beside) in graph.vertices.iter().zip(&layout.vertices).skip(index + 1) {
                assert!(!meet(*rect, *beside), "{}: {} and {}", path.display(), vertex.name, other.name);
            }
            for (part, around) in layout.clusters.iter().enumerate() {
                assert_eq!(meet(*rect, *around), vertex.cluster == Some(part), "{}: {}", path.display(), vertex.name);
            }
            assert!(rect.x >= 0 && rect.y >= 0 && rect.right() <= layout.width && rect.bottom() <= layout.height);
        }
    }
}

#[test]
fn what_a_name_or_an_expression_says_does_not_break_out_of_its_quotes() {
    let (topology, _) = read(&files()[0]);
    let mut graph = Graph::of(&topology, &tasks(&topology));
    for vertex in &mut graph.vertices {
        vertex.detail = "\"]; <script>#quot;\\\" \n&".to_owned();
    }
    let (mermaid, dot, svg) = (mermaid::render(&graph), dot::render(&graph), svg::render(&graph));
    assert!(!mermaid.contains("<script>") && !svg.contains("<script>"));
    assert!(mermaid.lines().all(|line| line.matches('"').count() % 2 == 0), "{mermaid}");
    let unescaped = |line: &str| line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
    assert!(dot.lines().all(|line| unescaped(line) % 2 == 0), "{dot}");
}

#[test]
fn a_node_stands_right_of_all_that_it_reads_in_its_part() {
    let node = |id: &str| Vertex {
        id: id.to_owned(),
        shape: Shape::Node,
        name: id.to_owned(),
        kind: "filter".to_owned(),
        detail: String::new(),
        cluster: Some(0),
    };
    let edge = |from, to| Edge { from, to, label: None, flow: Flow::Rows };
    let graph = Graph {
        application: "a".to_owned(),
        clusters: vec![Cluster { title: "sub-topology 0".to_owned() }],
        vertices: ["in", "joined", "other", "filtered", "again", "out"].map(node).to_vec(),
        edges: vec![edge(0, 1), edge(2, 3), edge(3, 4), edge(4, 1), edge(1, 5)],
    };
    let layout = Layout::of(&graph);
    for Edge { from, to, .. } in &graph.edges {
        assert!(layout.vertices[*from].right() < layout.vertices[*to].x, "{from} {to}: {layout:?}");
    }
    // A join may read what is written behind it: a circle through a store.
    let mut circle = Graph { edges: vec![edge(0, 1), edge(1, 2), edge(2, 0)], ..graph };
    circle.vertices.truncate(3);
    circle.vertices[2].shape = Shape::Store;
    let layout = Layout::of(&circle);
    assert!(!meet(layout.vertices[0], layout.vertices[1]) && !meet(layout.vertices[1], layout.vertices[2]));
}
