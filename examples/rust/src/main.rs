//! Greets whom it is told to greet.

fn greeting(name: &str) -> String {
    format!("hello, {name}")
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "world".into());
    println!("{}", greeting(&name));
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn greets_by_name() {
        assert_eq!(greeting("quire"), "hello, quire");
    }
}
