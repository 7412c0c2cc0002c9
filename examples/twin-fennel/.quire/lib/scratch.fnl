;; Folders that are gone when their job ends.

(fn folder [rt]
  (let [dir (rt.out "mktemp -d")]
    (rt.defer #(rt.sh ["rm" "-r" dir]))
    dir))

{: folder}
