package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// usageError is a mistake in the command line that the synopsis helps with.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

// normalize rewrites what getopt_long takes and pflag does not: the context -NUM, also
// in a cluster of options, becomes -C NUM, and long options are written out.
func normalize(flags *pflag.FlagSet, args []string, interspersed bool) ([]string, error) {
	var out []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--", !interspersed && (arg == "-" || !strings.HasPrefix(arg, "-")):
			return append(out, args[i:]...), nil
		case strings.HasPrefix(arg, "--"):
			long, takesNext, err := complete(flags, arg)
			if err != nil {
				return nil, err
			}
			out = append(out, long)
			if takesNext && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		case len(arg) > 1 && arg[0] == '-':
			cluster, takesNext := splitNumbers(flags, arg[1:])
			out = append(out, cluster...)
			if takesNext && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		default:
			out = append(out, arg)
		}
	}
	return out, nil
}

// complete writes out a long option that is abbreviated, and reports whether its value
// is the next argument.
func complete(flags *pflag.FlagSet, arg string) (long string, takesNext bool, err error) {
	name, value, hasValue := strings.Cut(arg[2:], "=")
	flag := flags.Lookup(name)
	if flag == nil {
		if flag, err = abbreviated(flags, name); err != nil {
			return "", false, err
		}
	}
	if hasValue {
		if flag.NoOptDefVal == "true" {
			return "", false, usageError{fmt.Sprintf("option '--%s' doesn't allow an argument", flag.Name)}
		}
		return "--" + flag.Name + "=" + value, false, nil
	}
	return "--" + flag.Name, flag.NoOptDefVal == "", nil
}

// ofGrep marks the options that grep has too.
var ofGrep = map[string][]string{"of grep": nil}

// abbreviated finds the one option whose name begins with prefix. What abbreviates an option of grep does
// so here too, whatever other options there are.
func abbreviated(flags *pflag.FlagSet, prefix string) (*pflag.Flag, error) {
	var found, grep []*pflag.Flag
	flags.VisitAll(func(flag *pflag.Flag) {
		if prefix != "" && strings.HasPrefix(flag.Name, prefix) && !flag.Hidden {
			found = append(found, flag)
			if flag.Annotations != nil {
				grep = append(grep, flag)
			}
		}
	})
	if len(grep) == 1 {
		return grep[0], nil
	}
	switch len(found) {
	case 0:
		return nil, usageError{fmt.Sprintf("unrecognized option '--%s'", prefix)}
	case 1:
		return found[0], nil
	}
	names := make([]string, len(found))
	for i, flag := range found {
		names[i] = "'--" + flag.Name + "'"
	}
	return nil, usageError{fmt.Sprintf("option '--%s' is ambiguous; possibilities: %s", prefix, strings.Join(names, " "))}
}

// checkValues refuses an empty value of an option that grep does not have: it comes of a variable that is not set, as in
// --nodes "$NODES" or --since "$START", and would ask for more than was meant. An empty --via is the default.
func checkValues(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(flag *pflag.Flag) {
		if err == nil && flag.Annotations == nil && flag.Name != "via" && flag.Value.Type() == "string" && flag.Value.String() == "" {
			err = usageError{fmt.Sprintf("option '--%s' has an empty argument", flag.Name)}
		}
	})
	return err
}

// splitNumbers takes the digits out of a cluster of short options, as in -5, -n12i, and
// reports whether the value of the last option is the next argument. Digits that are an
// option's value, as in -A3, stay.
func splitNumbers(flags *pflag.FlagSet, cluster string) (out []string, takesNext bool) {
	letters := ""
	for i := 0; i < len(cluster); {
		if digits := leadingDigits(cluster[i:]); digits > 0 {
			if letters != "" {
				out = append(out, "-"+letters)
				letters = ""
			}
			out = append(out, "-C"+cluster[i:i+digits])
			i += digits
			continue
		}
		flag := flags.ShorthandLookup(cluster[i : i+1])
		if flag != nil && flag.NoOptDefVal == "" {
			return append(out, "-"+letters+cluster[i:]), i+1 == len(cluster)
		}
		letters += cluster[i : i+1]
		i++
	}
	if letters != "" {
		out = append(out, "-"+letters)
	}
	return out, false
}

func leadingDigits(text string) int {
	return len(text) - len(strings.TrimLeft(text, "0123456789"))
}

// parseError words pflag's errors as getopt does.
func parseError(err error) error {
	var unknown *pflag.NotExistError
	var valueless *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usageError{fmt.Sprintf("invalid option -- '%s'", unknown.GetSpecifiedName())}
	case errors.As(err, &valueless) && valueless.GetSpecifiedShortnames() != "":
		return usageError{fmt.Sprintf("option requires an argument -- '%s'", valueless.GetSpecifiedName())}
	case errors.As(err, &valueless):
		return usageError{fmt.Sprintf("option '--%s' requires an argument", valueless.GetSpecifiedName())}
	case errors.As(err, &invalid):
		return invalid.Unwrap()
	}
	return err
}
