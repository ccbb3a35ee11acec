//! How lists are told.

/// The first names of a list, and how many more there are: `a, b and 3 more`.
pub(crate) fn some<I>(names: I, most: usize) -> String
where
    I: IntoIterator<Item: ToString, IntoIter: ExactSizeIterator>,
{
    let names = names.into_iter();
    let more = names.len().saturating_sub(most);
    let told = names.take(most).map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
    match more {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::some;

    #[test]
    fn tells_as_many_as_are_asked_for_and_counts_the_rest() {
        assert_eq!(some(&["a", "b"], 2), "a, b");
        assert_eq!(some(&["a", "b", "c", "d"], 2), "a, b and 2 more");
    }
}
