;; The same pipeline as examples/twin-lua, which is written in Lua: both give the same orders.

(local ci (require :quire.ci))
(local scratch (require :scratch))
(import-macros {: deferred : log-each} :macros)

(ci.defaults {:timeout "5m" :env {:GREETING "hello"}})

(local built [])

(each [_ mode (ipairs [:debug :release])]
  (let [id (.. :build- mode)]
    (table.insert built id)
    (ci.job id {:desc (.. "Build for " mode)}
      (fn [rt]
        (let [dir (scratch.folder rt)]
          (rt.sh "echo \"$GREETING, $MODE\" > out; cat out" {:cwd dir :env {:MODE mode}})
          {:file-size (tonumber (rt.out "wc -c < out" {:cwd dir})) : mode})))))

(ci.job :test built {:retries 1 :allow-failure true :desc "Two commands at once, the second may fail"}
  (fn [rt]
    (when (not rt.push.sha) (rt.log "no commit"))
    (log-each rt (icollect [_ result (ipairs (rt.all ["echo unit tests" ["sh" "-c" "echo style tests"]]))]
                   (pick-values 1 (result.stdout:gsub "\n$" ""))))
    (let [found (rt.sh "grep -c quire" {:stdin "nothing here\n" :check false})]
      (assert (= found.exit 1) "grep should find nothing"))))

(ci.job :report [:test :build-debug] {:needs :finished}
  (fn [rt]
    (let [file "quire-report.txt"]
      (deferred rt (rt.sh ["rm" file]))
      (rt.write-file file (rt.json.encode (rt.jobs :build-debug)))
      (rt.log (rt.read-file file))
      (case (pcall rt.sh "exit 3")
        (false err) (rt.log (.. "caught exit code " err.exit))))))
