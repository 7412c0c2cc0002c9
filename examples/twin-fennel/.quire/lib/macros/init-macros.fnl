;; What a pipeline can add to the language.

(fn deferred [rt ...]
  "Runs the body at the job's end, however that is."
  `((. ,rt :defer) (fn [] ,...)))

(fn log-each [rt items]
  "Logs each value with its number."
  `(each [i# value# (ipairs ,items)]
     ((. ,rt :log) i# value#)))

{: deferred : log-each}
