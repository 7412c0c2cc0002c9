#!/bin/sh
# quire-hook 1
# Tells the quire server about pushes. Written by `quire repo`; `quire repo rm` takes it out again.
# What post-receive was before is post-receive.before-quire, and is called first.
quire=@quire@
data=@data@
repo=@repo@

pushed=$(cat; echo x)
pushed=${pushed%x}
status=0
before=${0%/*}/post-receive.before-quire
if [ -x "$before" ]; then
	printf %s "$pushed" | "$before" "$@"
	status=$?
fi

if [ -x "$quire" ]; then
	printf %s "$pushed" | "$quire" hook post-receive --data-dir "$data" --repo "$repo"
	exit "$status"
fi

# The program has moved. The event is left where a server will find it.
now=$(date +%s)
new=$data/spool/.hook-$now-$$
if (
	umask 027
	{
		printf '{"at_ms":%s000,"type":"pushed","repo":"%s","refs":[' "$now" "$repo"
		comma=
		printf %s "$pushed" | sed 's/"/\\"/g' | while read -r old id ref; do
			printf '%s{"ref":"%s","before":"%s","after":"%s"}' "$comma" "$ref" "$old" "$id"
			comma=,
		done
		printf ']}\n'
	} >"$new" && mv "$new" "$data/spool/hook-$now-$$.json"
) 2>/dev/null; then
	echo "quire: $quire is not there any more; the push is noted, and runs when the server starts next." >&2
else
	echo "quire: $quire is not there any more, and the push could not be noted in $data/spool: no run." >&2
fi
echo "quire: to bring this hook up to date: quire repo add $(pwd) --data-dir $data" >&2
exit "$status"
