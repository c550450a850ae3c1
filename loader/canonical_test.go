package loader

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestEveryKeyOfAServiceIsPrintedOnce(t *testing.T) {
	var printed []string
	typ := serviceView().typ
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
		printed = append(printed, key)
	}
	if got := printed[:len(serviceKeys)]; !slices.Equal(got, serviceKeys) {
		t.Errorf("keys are in the order %v", got)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[types.ServiceConfig]()) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Anonymous || slices.Contains([]string{"name", "-", "label_file"}, key) {
			continue
		}
		if got := len(slices.DeleteFunc(slices.Clone(printed), func(k string) bool { return k != key })); got != 1 {
			t.Errorf("%s is printed %d times", key, got)
		}
	}
}
