//! Calls in a task's body that make a replay differ, found by their names: an attribute sees
//! words and no types. What it can't see is in docs/guide/deterministic-tasks.md.

use quote::quote;
use syn::{
    Block, Expr, ExprCall, ExprMethodCall, ExprPath, Item, Macro, Path, Stmt, Token,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use crate::diagnostics::Diagnostics;

/// The value of `allow` that switches this check off.
pub(crate) const LINT: &str = "nondeterminism";
/// Methods whose closures a replay doesn't run.
const STEPS: [&str; 3] = ["step", "transaction", "on_rollback"];

/// What is refused, and why.
struct Rule {
    /// How the names of functions and of values end.
    paths: &'static [&'static str],
    /// The last words of macros.
    macros: &'static [&'static str],
    /// What is wrong, then what to do.
    message: &'static str,
}

const RULES: [Rule; 5] = [
    Rule {
        paths: &[
            "SystemTime::now",
            "Instant::now",
            "Utc::now",
            "Local::now",
            "Timestamp::now",
            "Zoned::now",
        ],
        macros: &[],
        message: "is another time on every replay; use `ctx.now().await?`, which is the same on \
                  every replay, or do it inside a step",
    },
    Rule {
        paths: &["Uuid::new_v4", "Uuid::now_v7"],
        macros: &[],
        message: "is another id on every replay; use `ctx.uuid()`, which is the same on every \
                  replay, or do it inside a step",
    },
    Rule {
        paths: &[
            "rand::random",
            "rand::random_bool",
            "rand::random_range",
            "rand::rng",
            "thread_rng",
            "OsRng",
        ],
        macros: &[],
        message: "gives other numbers on every replay; use `ctx.rng()`, which gives the same on \
                  every replay, or do it inside a step",
    },
    Rule {
        paths: &["time::sleep", "time::sleep_until", "thread::sleep"],
        macros: &[],
        message: "sleeps again on every replay; use `ctx.sleep_for(..).await?`, which is \
                  remembered and holds no worker, or do it inside a step",
    },
    Rule {
        paths: &["tokio::spawn", "spawn_blocking", "join_all", "try_join_all"],
        macros: &["select", "join", "try_join"],
        message: "may run branches in another order on a replay; branches of a task are \
                  `ctx.join`, `ctx.map` and `ctx.race`, whose steps keep their names on every \
                  replay; what has no steps can be done inside one",
    },
];

/// Notes every call that makes a replay differ.
pub(crate) fn check(body: &Block, diagnostics: &mut Diagnostics) {
    Body { diagnostics }.visit_block(body);
}

/// The way through a body, steps left out.
struct Body<'d> {
    diagnostics: &'d mut Diagnostics,
}

impl Body<'_> {
    fn check_path(&mut self, path: &Path) {
        let name = name(path);
        let refused = |rule: &&Rule| rule.paths.iter().any(|end| ends_with(&name, end));
        if let Some(rule) = RULES.iter().find(refused) {
            self.diagnostics.error(path, message(rule, &name));
        }
    }

    /// What becomes of an argument of a step: its closure is free, but all that has to be
    /// computed to get at the closure is done again on a replay.
    fn visit_step_argument(&mut self, argument: &Expr) {
        match argument {
            Expr::Closure(_) => {}
            Expr::Paren(inner) => self.visit_step_argument(&inner.expr),
            Expr::Group(inner) => self.visit_step_argument(&inner.expr),
            Expr::Block(inner) => {
                for statement in &inner.block.stmts {
                    match statement {
                        Stmt::Expr(value, None) => self.visit_step_argument(value),
                        other => self.visit_stmt(other),
                    }
                }
            }
            other => self.visit_expr(other),
        }
    }
}

impl<'ast> Visit<'ast> for Body<'_> {
    /// An item can't use the context, and runs where it is called, which may be in a step.
    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if !STEPS.iter().any(|step| call.method == step) {
            return visit::visit_expr_method_call(self, call);
        }
        self.visit_expr(&call.receiver);
        for argument in &call.args {
            self.visit_step_argument(argument);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        match &*call.func {
            Expr::Path(function) => self.check_path(&function.path),
            other => self.visit_expr(other),
        }
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    /// A function that is handed on will be called. One word in small letters is more likely
    /// a variable, such as `let thread_rng = ctx.rng()`.
    fn visit_expr_path(&mut self, value: &'ast ExprPath) {
        let word = value.path.get_ident().map(ToString::to_string);
        if word.is_none_or(|word| word.starts_with(char::is_uppercase)) {
            self.check_path(&value.path);
        }
    }

    /// Most macros take expressions or statements; what is neither is left alone.
    fn visit_macro(&mut self, called: &'ast Macro) {
        let name = name(&called.path);
        let refused = |rule: &&Rule| rule.macros.iter().any(|end| ends_with(&name, end));
        if let Some(rule) = RULES.iter().find(refused) {
            let (path, bang) = (&called.path, &called.bang_token);
            let said = message(rule, &format!("{name}!"));
            self.diagnostics.error(quote! { #path #bang }, said);
        }
        let listed = Punctuated::<Expr, Token![,]>::parse_terminated;
        if let Ok(arguments) = called.parse_body_with(listed) {
            for argument in &arguments {
                self.visit_expr(argument);
            }
        } else if let Ok(statements) = called.parse_body_with(Block::parse_within) {
            for statement in &statements {
                self.visit_stmt(statement);
            }
        }
    }
}

/// A path as it is said: without generic arguments.
fn name(path: &Path) -> String {
    let words = path.segments.iter();
    let words: Vec<String> = words.map(|word| word.ident.to_string()).collect();
    words.join("::")
}

/// Whether a path ends in these words, and not only in these letters.
fn ends_with(name: &str, end: &str) -> bool {
    let before = name.strip_suffix(end);
    before.is_some_and(|before| before.is_empty() || before.ends_with("::"))
}

fn message(rule: &Rule, name: &str) -> String {
    let why = rule.message;
    format!("`{name}` {why}; `#[task(allow = \"{LINT}\")]` switches this check off")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = include_str!("../../docs/guide/deterministic-tasks.md");

    /// The names that are refused in a body, in their order.
    fn refused(body: &str) -> Vec<String> {
        let body: Block = syn::parse_str(&format!("{{ {body} }}")).expect("a body");
        let mut diagnostics = Diagnostics::default();
        check(&body, &mut diagnostics);
        let errors = diagnostics.finish(()).err().into_iter().flatten();
        let name = |error: syn::Error| error.to_string().split('`').nth(1).map(str::to_owned);
        errors.filter_map(name).collect()
    }

    #[test]
    fn calls_that_make_a_replay_differ_are_refused() {
        let cases: [(&str, &[&str]); 23] = [
            ("Utc::now();", &["Utc::now"]),
            (
                "let t: u8 = chrono::Local::now().hour();",
                &["chrono::Local::now"],
            ),
            ("x.unwrap_or_else(Uuid::new_v4)", &["Uuid::new_v4"]),
            ("(Zoned::now)();", &["Zoned::now"]),
            ("rand::random::<u8>();", &["rand::random"]),
            ("::rand::rng().random_range(0..3)", &["rand::rng"]),
            ("thread_rng().gen_bool(0.5)", &["thread_rng"]),
            (
                "OsRng.next_u32(); fill(&mut rand::rngs::OsRng)",
                &["OsRng", "rand::rngs::OsRng"],
            ),
            (
                "time::sleep(d).await; std::thread::sleep(d)",
                &["time::sleep", "std::thread::sleep"],
            ),
            (
                "tokio::time::sleep_until(t).await",
                &["tokio::time::sleep_until"],
            ),
            ("tokio::spawn(work()).await?", &["tokio::spawn"]),
            (
                "join_all(list.map(|n| Uuid::now_v7())).await",
                &["join_all", "Uuid::now_v7"],
            ),
            (
                "futures::future::try_join_all(l).await?",
                &["futures::future::try_join_all"],
            ),
            (
                "task::spawn_blocking(|| 1).await?",
                &["task::spawn_blocking"],
            ),
            (
                "tokio::select! { a = b => c, else => d }",
                &["tokio::select!"],
            ),
            (
                "let (a, b) = join!(a(), Utc::now());",
                &["join!", "Utc::now"],
            ),
            ("futures::try_join!(a, b)?;", &["futures::try_join!"]),
            (
                "let later = async { Instant::now() }; later.await",
                &["Instant::now"],
            ),
            (
                "list.map(|n| { if n { Utc::now() } else { n } })",
                &["Utc::now"],
            ),
            ("println!(\"{}\", SystemTime::now());", &["SystemTime::now"]),
            ("let ids = vec![Uuid::new_v4(); 3];", &["Uuid::new_v4"]),
            (
                "let f = || Utc::now(); ctx.step(\"a\", f).await?",
                &["Utc::now"],
            ),
            ("ctx.step(Uuid::new_v4(), || x).await?", &["Uuid::new_v4"]),
        ];
        for (body, names) in cases {
            assert_eq!(refused(body), names, "{body}");
        }
    }

    #[test]
    fn what_a_step_computes_is_free() {
        for body in [
            "ctx.step(\"a\", || async { Utc::now() }).await?",
            "ctx.step::<_, _, _, E>(\"a\", async move || tokio::join!(a, b)).await?",
            "ctx.transaction(\"a\", |tx| Box::pin(async { Uuid::new_v4() })).await?",
            "ctx.step(\"a\", || x).on_rollback(|x| async { sleep(Utc::now()) }).await?",
            "ctx.step(\"a\", { let x = x.clone(); move || thread::sleep(x) }).await?",
            "ctx.step(\"a\", (|| thread::sleep(x))).await?",
            "check!(ctx.step(\"a\", || rand::random()).await);",
        ] {
            assert_eq!(refused(body), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn what_only_stands_around_a_step_is_not_free() {
        for body in [
            "ctx.step(\"a\", || x).timeout(Utc::now()).await?",
            "ctx.named(Utc::now()).step(\"a\", || x).await?",
            "ctx.step(\"a\", { let x = Utc::now(); move || x }).await?",
            "ctx.step(\"a\", || x).await?.map(|x| x + Utc::now())",
        ] {
            assert_eq!(refused(body), ["Utc::now"], "{body}");
        }
    }

    #[test]
    fn what_is_only_called_alike_is_free() {
        for body in [
            "ctx.now().await?; clock::now(); now(); MyUtc::now(); Utc::now_like();",
            "let thread_rng = ctx.rng(); thread_rng.next_u32(); random(); rng();",
            "sleep(x).await; ctx.sleep_for(\"a\", \"1s\").await?; spawn(x); ctx.spawn(a, b);",
            "list.join(\", \"); ctx.join(a, b).await?; selected!(a); x.select(1);",
            "let id: Uuid = id; let x = OsRngs; use tokio::time::sleep;",
            "fn helper() -> u8 { Utc::now() } const NOW: X = Utc::now;",
            "json!({ \"at\": Utc::now() }); macro_rules! at { () => { Utc::now() } }",
        ] {
            assert_eq!(refused(body), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn the_guide_lists_every_name() {
        for rule in &RULES {
            let macros = rule.macros.iter().map(|word| format!("`{word}!`"));
            let paths = rule.paths.iter().map(|end| format!("`{end}`"));
            for name in macros.chain(paths) {
                assert!(GUIDE.contains(&name), "the guide lacks {name}");
            }
        }
    }
}
