#!/bin/sh
# Writes its secrets as they are, in pieces, encoded, to both streams and last; ends with the code it is given.
line=$(cat)
echo "word $WORD"
printf 'base64 %s\n' "$(printf %s "$WORD" | base64)"
printf 'with a user %s\n' "$(printf 'user:%s' "$WORD" | base64)"
printf 'line %.5s' "$line"
sleep 0.1
printf '%s\n' "${line#?????}"
echo "error: cannot log in with $WORD" >&2
exit "$1"
