package kafka

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/protocols"
)

// failure returns an answer to req in which everything that can have an error
// has that of r: an element of the answer for each one of the request.
func failure(req kmsg.Request, r *protocols.Reply) kmsg.Response {
	code, _ := number(r.Code)
	resp := req.ResponseKind()
	if req.Key() == apiVersionsKey && code == 35 {
		resp.SetVersion(0) // what a broker answers to a version that it doesn't know
	}
	reflected(reflect.ValueOf(resp).Elem(), reflect.ValueOf(req).Elem(), blame{code, r.Message})
	return resp
}

// blame is an error to be told.
type blame struct {
	code    int16
	message string
}

// absent are fields in which a broker writes -1 beside an error.
var absent = map[string]bool{"NodeID": true, "Port": true, "Offset": true, "ProducerID": true, "ProducerEpoch": true}

// otherwise are lists of a request that an answer has under another name.
var otherwise = map[string]string{"Coordinators": "CoordinatorKeys", "Topics": "TopicNames"}

// reflected fills dst, a part of an answer, after src, the part of the request
// that it answers.
func reflected(dst, src reflect.Value, why blame) {
	for i := range dst.NumField() {
		name, field := dst.Type().Field(i).Name, dst.Field(i)
		if why.tell(name, field) || name == "Version" {
			continue
		}
		from := src.FieldByName(name)
		if other := src.FieldByName(otherwise[name]); other.IsValid() && (!from.IsValid() || from.Len() == 0) {
			from = other
		}
		switch {
		case !from.IsValid():
		case field.Kind() == reflect.Slice && from.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			field.Set(reflect.MakeSlice(field.Type(), from.Len(), from.Len()))
			for k := range from.Len() {
				element(field.Index(k), from.Index(k), why)
			}
		case field.Type() == from.Type():
			field.Set(from)
		}
	}
}

// element fills an element of a list in an answer after that of a request,
// which may be just a name or a number.
func element(dst, src reflect.Value, why blame) {
	if d, ok := dst.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	if src.Kind() == reflect.Struct {
		reflected(dst, src, why)
		return
	}
	named := false
	for i := range dst.NumField() {
		name, field := dst.Type().Field(i).Name, dst.Field(i)
		switch {
		case why.tell(name, field) || named:
		case field.Type() == src.Type():
			field.Set(src)
			named = true
		case field.Kind() == reflect.Pointer && field.Type().Elem() == src.Type():
			p := reflect.New(src.Type())
			p.Elem().Set(src)
			field.Set(p)
			named = true
		}
	}
}

// tell writes the error into a field that is for it.
func (why blame) tell(name string, field reflect.Value) bool {
	if absent[name] && field.CanInt() {
		field.SetInt(-1)
		return true
	}
	switch v := field.Addr().Interface().(type) {
	case *int16:
		if name == "ErrorCode" {
			*v = why.code
			return true
		}
	case **string:
		if name == "ErrorMessage" {
			*v = &why.message
			return true
		}
	}
	return false
}

// spread writes the error into everything of an answer that can have one.
func (why blame) spread(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if t := v.Type().Field(i); t.IsExported() && !why.tell(t.Name, v.Field(i)) {
				why.spread(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				why.spread(v.Index(i))
			}
		}
	}
}

// firstError returns the first error code in an answer, 0 for none.
func firstError(resp kmsg.Response) int16 { return findError(reflect.ValueOf(resp).Elem()) }

func findError(v reflect.Value) int16 {
	switch v.Kind() {
	case reflect.Struct:
		if f := v.FieldByName("ErrorCode"); f.IsValid() && f.Kind() == reflect.Int16 && f.Int() != 0 {
			return int16(f.Int())
		}
		for i := range v.NumField() {
			if code := findError(v.Field(i)); code != 0 {
				return code
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			return 0
		}
		for i := range v.Len() {
			if code := findError(v.Index(i)); code != 0 {
				return code
			}
		}
	}
	return 0
}

// groupsOf returns the consumer groups that a request names.
func groupsOf(req kmsg.Request) (groups []string) {
	v := reflect.ValueOf(req).Elem()
	if g := v.FieldByName("Group"); g.IsValid() && g.Kind() == reflect.String && g.Len() > 0 {
		groups = append(groups, g.String())
	}
	if list := v.FieldByName("Groups"); list.IsValid() && list.Kind() == reflect.Slice {
		for i := range list.Len() {
			e := list.Index(i)
			if e.Kind() == reflect.Struct {
				e = e.FieldByName("Group")
			}
			if e.IsValid() && e.Kind() == reflect.String {
				groups = append(groups, e.String())
			}
		}
	}
	if find, ok := req.(*kmsg.FindCoordinatorRequest); ok && find.CoordinatorType == 0 {
		if find.Version < 4 {
			return append(groups, find.CoordinatorKey)
		}
		groups = append(groups, find.CoordinatorKeys...)
	}
	return groups
}
