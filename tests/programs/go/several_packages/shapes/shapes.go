package shapes

// Area of a square.
func Area(side int) int { return side * side }

func Fail() { panic("in another package") }
