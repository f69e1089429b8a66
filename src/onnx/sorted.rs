//! The order of nodes in which each comes after what it takes: files have to have it, but tools write others too.

use super::proto::NodeProto;
use std::collections::{BTreeSet, HashMap};

/// Nodes in an order in which they can be computed, their own if they can be in that. Those in a circle come last.
pub fn sorted(nodes: &[NodeProto]) -> Vec<&NodeProto> {
    let mut given_by: HashMap<&str, usize> = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            given_by.entry(name).or_insert(i);
        }
    }
    let mut waits_for = vec![0_usize; nodes.len()];
    let mut users = vec![Vec::new(); nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for &from in node.input.iter().filter_map(|name| given_by.get(name.as_str())) {
            waits_for[i] += 1;
            users[from].push(i);
        }
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|&i| waits_for[i] == 0).collect();
    let mut order = Vec::new();
    while let Some(i) = ready.pop_first() {
        order.push(i);
        for &user in &users[i] {
            waits_for[user] -= 1;
            if waits_for[user] == 0 {
                ready.insert(user);
            }
        }
    }
    order.extend((0..nodes.len()).filter(|&i| waits_for[i] > 0));
    order.into_iter().map(|i| &nodes[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_after_what_they_take_and_keep_their_order_where_they_can() {
        let node = |input: &str, output: &str| NodeProto {
            input: vec![input.into()],
            output: vec![output.into()],
            ..NodeProto::default()
        };
        let outputs = |nodes: &[NodeProto]| {
            sorted(nodes).into_iter().map(|node| node.output[0].clone()).collect::<String>()
        };
        assert_eq!(outputs(&[node("x", "a"), node("x", "b"), node("a", "c")]), "abc");
        assert_eq!(outputs(&[node("c", "d"), node("x", "b"), node("b", "c")]), "bcd");
        // Nothing can compute a circle; what does not need it comes first.
        assert_eq!(outputs(&[node("b", "a"), node("a", "b"), node("x", "c")]), "cab");
    }
}
