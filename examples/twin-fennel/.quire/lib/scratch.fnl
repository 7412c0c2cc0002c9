;; Folders that are gone when their job ends.

(import-macros {: deferred} :macros)

(fn folder [rt]
  (let [dir (rt.out "mktemp -d")]
    (deferred rt (rt.sh ["rm" "-r" dir]))
    dir))

{: folder}
