package images

import (
	"bytes"
	"regexp"
	"strconv"
)

// stage is a stage to put before those of a Dockerfile: FROM Image AS Name.
type stage struct{ Name, Image string }

// stageName is what builders take for the name of a stage.
var stageName = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)

var (
	firstFrom   = regexp.MustCompile(`(?im)^[ \t]*FROM[ \t]`)
	numberedRef = regexp.MustCompile(`((?:--|[,=])from=)(\d+)\b`)
)

// addStages puts stages before the first of a Dockerfile, after its directives and global arguments, so that FROM and
// --from find them by their names. References to stages by number keep their meaning.
func addStages(dockerfile []byte, stages []stage) []byte {
	at := firstFrom.FindIndex(dockerfile)
	if len(stages) == 0 || at == nil {
		return dockerfile
	}
	var out bytes.Buffer
	out.Write(dockerfile[:at[0]])
	for _, s := range stages {
		out.WriteString("FROM " + s.Image + " AS " + s.Name + "\n")
	}
	out.Write(numberedRef.ReplaceAllFunc(dockerfile[at[0]:], func(ref []byte) []byte {
		m := numberedRef.FindSubmatch(ref)
		n, err := strconv.Atoi(string(m[2]))
		if err != nil {
			return ref
		}
		return append(bytes.Clone(m[1]), strconv.Itoa(n+len(stages))...)
	}))
	return out.Bytes()
}
