//! Every error stands at its place in the Fennel.

use super::support::{lines, told};

#[test]
fn try_it() {
    println!("{:?}", lines(&[("ci.fnl", include_str!("/tmp/ft/a.fnl"))]));
    for text in [
        "(local ci (require :quire.ci)",
        "(local ci (require :quire.ci))\n(ci.job :a (fn [rt] (rt.sh foo)))",
        "(local ci (require :quire.ci))\n(ci.job :a (fn [rt]\n (io.open :x)))",
        "(local ci (require :quire.ci))\n(ci.job :a\n [:nope]\n (fn [rt]\n (rt.sh :x)))",
        "(local ci (require :quire.ci))\n(ci.job :a\n {:timeot 1}\n (fn [rt]\n (rt.sh :x)))",
        "(local ci (require :quire.ci))\n(ci.jbo :a\n {:timeot 1}\n (fn [rt]\n (rt.sh :x)))",
        "(local ci (require :quire.ci))\n(macro m [x]\n  `(+ 1 ,(. x.y :z)))\n\n(ci.job :a\n (fn [rt]\n (m 1)))",
        "(local ci (require :quire.ci))\n(macro m [x]\n  (error :no))\n\n(ci.job :a\n (fn [rt]\n (m 1)))",
        "(local ci (require :quire.ci))\n(macro m [x]\n  (assert-compile false \"no good\" x))\n\n(ci.job :a\n (fn [rt]\n (m [1])))",
        "(local ci (require :quire.ci))\n(import-macros {: m} :mac)\n\n(ci.job :a\n (fn [rt]\n (m [1])))",
        "(local ci (require :quire.ci))\n(import-macros {: k} :mac)\n\n(ci.job :a\n (fn [rt]\n (k [1])))",
        "(local ci (require :quire.ci))\n(import-macros {: k} :nomac)\n\n(ci.job :a\n (fn [rt]\n (k [1])))",
        "(local ci (require :quire.ci))\n(local x (require :bad))\n\n(ci.job :a\n (fn [rt]\n (x [1])))",
        "(local ci (require :quire.ci))\n(local x (require :bad2))\n\n(ci.job :a\n (fn [rt]\n (x [1])))",
        "(local ci (require :quire.ci))\n(local x (require :bad3))\n\n(ci.job :a\n (fn [rt]\n (x [1])))",
        "(local ci (require :quire.ci))\n(ci.job :a\n (fn [rt]\n (let x 1))))",
        "(ci.job :a\n (fn [rt]\n (let [x 1] x)))",
        "(macro run [x] `(error ,x))\n\n\n(run\n :boom)",
    ] {
        println!(
            "{}",
            told(&[
                ("ci.fnl", text),
                ("mac.fnl", "(fn m [x]\n  (+ 1 x.y.z))\n(fn k [x]\n (assert-compile false \"never\" x))\n{: m\n : k}"),
                ("bad.fnl", "(local x 1)\n(fn"),
                ("bad2.fnl", "(local x 1)\n(x.y.z)"),
                ("bad3.lua", "local x\n = = 3")
            ])
        );
    }
}
