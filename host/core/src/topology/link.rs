use super::{Edge, NodeIndex, Topology};

impl Topology {
    /// Fills in what follows from the inputs of the nodes and the sources of each part: who reads from each node, and the
    /// order in which the nodes of a part take their rows.
    pub fn link(&mut self) {
        for node in &mut self.nodes {
            node.children.clear();
        }
        for index in 0..self.nodes.len() {
            for input in 0..self.nodes[index].inputs.len() {
                let super::Input { node: parent, port, .. } = self.nodes[index].inputs[input];
                self.nodes[parent.0].children.push(Edge { port, node: NodeIndex(index), input });
            }
        }
        self.nodes.iter_mut().for_each(|node| node.children.sort_unstable());
        for part in 0..self.subtopologies.len() {
            let order = self.depth_first(&self.subtopologies[part].sources);
            for (place, index) in order.iter().enumerate() {
                self.nodes[index.0].place = place;
            }
            self.subtopologies[part].nodes = order;
        }
    }

    /// What is behind `sources`, each node after all that it reads, and otherwise as a walk in depth comes by: the reverse of
    /// the order in which a walk leaves the nodes that takes each last child first.
    fn depth_first(&self, sources: &[NodeIndex]) -> Vec<NodeIndex> {
        let mut left = Vec::new();
        let mut seen = vec![false; self.nodes.len()];
        for &source in sources.iter().rev() {
            // Each node with how many of its children, from the last, are walked.
            let mut way = Vec::new();
            if !std::mem::replace(&mut seen[source.0], true) {
                way.push((source, 0));
            }
            while let Some((index, walked)) = way.last_mut() {
                let children = &self.node(*index).children;
                match children.len().checked_sub(*walked + 1).map(|at| children[at].node) {
                    Some(child) => {
                        *walked += 1;
                        if !std::mem::replace(&mut seen[child.0], true) {
                            way.push((child, 0));
                        }
                    }
                    None => {
                        left.push(*index);
                        way.pop();
                    }
                }
            }
        }
        left.reverse();
        left
    }
}

#[cfg(test)]
mod tests {
    use crate::topology::check;

    fn order(nodes: &str) -> Vec<String> {
        let text =
            format!("application: a\ntopics:\n  t: {{ value: json }}\n  u: {{ value: json }}\n  o:\nnodes:\n{nodes}");
        let (topology, diagnostics) = check("topology.yaml", &text);
        let topology = topology.unwrap_or_else(|| panic!("{}", diagnostics.render()));
        let parts = topology.subtopologies.iter().flat_map(|part| &part.nodes);
        parts.map(|index| topology.node(*index).name.to_string()).collect()
    }

    #[test]
    fn nodes_come_in_depth_and_in_file_order() {
        let nodes = "
  t: { source: t }
  b: { from: t, branch: { x: value.x == 1, y: default } }
  y: { from: b.y, sink: o }
  x: { from: b.x, filter: value.y == 1 }
  z: { from: x, sink: o }
  l: { from: t, sink: o }
";
        assert_eq!(order(nodes), ["t", "b", "x", "z", "y", "l"]);
    }

    #[test]
    fn a_node_with_several_inputs_comes_after_all_that_it_reads() {
        let nodes = "
  t: { source: t }
  j: { from: t, join: u }
  o: { from: j, sink: o }
  u: { table: u }
";
        assert_eq!(order(nodes), ["t", "u-source", "u", "j", "o"]);
    }
}
